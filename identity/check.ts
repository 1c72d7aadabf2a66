// Whether the keyring answers to the chain: every key and verifier that it promised is there, unaltered. Pure
// but for the keyring's file.

import { hex } from '../ledger/bytes.ts';
import type { Role } from '../ledger/catalog.ts';
import { isStorageError } from '../ledger/error.ts';
import type { Keyring } from './keyring.ts';

/**
 * Compares the hosted roles of the chain with the keyring, and checks every entry of it.
 *
 * @param alone  no other node hosts roles: what is not here is lost. Where others do, the chain does not say which of
 *   them hosts a role, so what is not here says nothing
 * @returns  one sentence without full stop for each fault; empty when all is well
 */
export function checkKeyring(
  keyring: Keyring,
  roles: Iterable<Role>,
  alone: boolean,
): readonly string[] {
  const faults = [...keyring.check()];
  if (!alone) return faults;
  for (const { name, publicKey, custody, verifierCommitment } of roles) {
    if (custody === 'hosted' && publicKey !== null && isMissing(() => keyring.keyOf(publicKey))) {
      faults.push(`the key of role "${name}" is missing (${hex(publicKey)})`);
    }
    if (verifierCommitment === null) continue;
    if (isMissing(() => keyring.verifierOf(verifierCommitment))) {
      faults.push(`the password of role "${name}" is not the one the chain committed to`);
    }
  }
  return faults;
}

/** An entry that is there but damaged has been reported by the keyring's own check. */
function isMissing(find: () => unknown): boolean {
  try {
    return find() === undefined;
  } catch (error) {
    if (isStorageError(error)) return false;
    throw error;
  }
}
