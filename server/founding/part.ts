// What an organisation gives to whoever founds the cluster: its public keys, signed by its node. Pure.
//
// A JSON file `<name>.node.json` without any secret:
//
//   {format, version, name, nodeKey, address, role, roleKey, verifierCommitment, signature}
//
// Bytes are hexadecimal. The signature is the node's over all fields: whoever changes one on its way to the founder, or
// names another's key as its own, makes a part that is refused.

import { concat, hex, tryFromHex, utf8 } from '../../ledger/bytes.ts';
import { bytes, encodeWith, record, text } from '../../ledger/codec.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { acceptablePublicKey, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../../ledger/crypto.ts';
import { StorageError } from '../../ledger/error.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { isPeerAddress } from '../peer-options.ts';
import { readJson } from './json-file.ts';

export interface Part {
  /** Of the organisation. */
  readonly name: string;
  /** Ed25519, 32 bytes. */
  readonly nodeKey: Uint8Array;
  /** `host:port` for peers; empty when each node is told by its own options. */
  readonly address: string;
  /** The organisation's administrator. */
  readonly role: string;
  readonly roleKey: Uint8Array;
  readonly verifierCommitment: Uint8Array;
}

const FORMAT = 'trustsql node';
const FORMAT_VERSION = 1;
const TAG = utf8('trustsql node part v1\n');
const COMMITMENT_BYTES = 32;

/** Lower-case, so that no client needs quotes for the role; short enough for `admin_` before it. */
const NAME = /^[a-z][a-z0-9_]{0,39}$/;

const partCodec = record<Part>({
  name: text(LIMITS.nameBytesMax),
  nodeKey: bytes(PUBLIC_KEY_BYTES),
  address: text(LIMITS.addressBytesMax),
  role: text(LIMITS.nameBytesMax),
  roleKey: bytes(PUBLIC_KEY_BYTES),
  verifierCommitment: bytes(COMMITMENT_BYTES),
});

/** Whether a text can be the name of an organisation or of a database. */
export function isPlainName(name: string): boolean {
  return NAME.test(name);
}

/** The administrator's role of an organisation. */
export function roleOfOrganisation(name: string): string {
  return `admin_${name}`;
}

/** The text of the file. @param seed of the node */
export function formatPart(crypto: Crypto, seed: Uint8Array, part: Part): string {
  const fields = {
    format: FORMAT,
    version: FORMAT_VERSION,
    name: part.name,
    nodeKey: hex(part.nodeKey),
    address: part.address,
    role: part.role,
    roleKey: hex(part.roleKey),
    verifierCommitment: hex(part.verifierCommitment),
    signature: hex(crypto.sign(seed, messageOf(part))),
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}

/**
 * The part that a file holds, if its own node has signed it.
 *
 * @param place  the file, for messages
 * @throws StorageError foreign for another format or version, damaged for one that is malformed or not signed by its node
 */
export function parsePart(crypto: Crypto, content: string, place: string): Part {
  const fields = readJson(content, place, FORMAT, FORMAT_VERSION);
  const damaged = (what: string): StorageError => new StorageError('damaged', `${place}: ${what}`);
  const textOf = (name: string): string => {
    const value = fields[name];
    if (typeof value === 'string') return value;
    throw damaged(`${name} is missing`);
  };
  const bytesOf = (name: string, length: number): Uint8Array => {
    const value = tryFromHex(textOf(name));
    if (value?.length === length) return value;
    throw damaged(`${name} is not ${2 * length} hexadecimal digits`);
  };
  const part: Part = {
    name: textOf('name'),
    nodeKey: bytesOf('nodeKey', PUBLIC_KEY_BYTES),
    address: textOf('address'),
    role: textOf('role'),
    roleKey: bytesOf('roleKey', PUBLIC_KEY_BYTES),
    verifierCommitment: bytesOf('verifierCommitment', COMMITMENT_BYTES),
  };
  const fault = faultOf(part);
  if (fault !== null) throw damaged(fault);
  if (!crypto.verify(part.nodeKey, messageOf(part), bytesOf('signature', SIGNATURE_BYTES))) {
    throw damaged('not signed by the node that it names: it was changed, or made by somebody else');
  }
  return part;
}

function faultOf({ name, address, role, roleKey }: Part): string | null {
  if (!isPlainName(name)) return `"${name}" cannot be the name of an organisation`;
  if (role !== roleOfOrganisation(name)) return `"${role}" is not the administrator of "${name}"`;
  if (address !== '' && !isPeerAddress(address)) return `"${address}" is not <host>:<port>`;
  return acceptablePublicKey(roleKey) ? null : 'roleKey is not a key that can sign';
}

function messageOf(part: Part): Uint8Array {
  return concat(TAG, encodeWith(partCodec, part));
}
