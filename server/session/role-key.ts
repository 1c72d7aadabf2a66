// `SET ledger.role_key`: the key and verifier of roles created from then on, where another node has made and holds them. Pure.
//
//   <public key>:<commitment to the verifier>, both hexadecimal; empty: this node makes the keys
//
// Nothing in it is secret, and it gives no right: who may create a role could as well give it a password.

import { tryFromHex } from '../../ledger/bytes.ts';
import type { Role } from '../../ledger/catalog.ts';
import { acceptablePublicKey, HASH_BYTES, PUBLIC_KEY_BYTES } from '../../ledger/crypto.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';

/** The setting in its one form. @throws SqlError 22023 */
export function roleKey(value: string, name: string): string {
  if (value === '' || keyOfSetting(value.toLowerCase()) !== null) return value.toLowerCase();
  throw new SqlError(
    SQLSTATE.invalidParameterValue,
    `invalid value for parameter "${name}": "${value}"`,
    { hint: 'It is <public key>:<commitment to the verifier>, both hexadecimal.' },
  );
}

/** What a role has of it; null when the setting says nothing. */
export function keyOfSetting(value: string): {
  readonly publicKey: Uint8Array;
  readonly verifierCommitment: Role['verifierCommitment'];
} | null {
  const [publicKey, verifierCommitment] = value.split(':', 2).map(tryFromHex);
  const sound =
    publicKey?.length === PUBLIC_KEY_BYTES &&
    verifierCommitment?.length === HASH_BYTES &&
    acceptablePublicKey(publicKey);
  return sound ? { publicKey, verifierCommitment } : null;
}
