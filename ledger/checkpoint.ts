// Checkpoints: what a chain says of itself to the outside, as text. Pure, browser-safe.
//
// A C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint), a signed note (https://c2sp.org/signed-note):
// origin, size and root of the history tree, one on each line, then signatures. Size n speaks of the
// headers of heights 0 … n-1. Witnesses may add cosignatures; unknown signatures are left alone.
//
//     trustsql/<chain id in hexadecimal>
//     42
//     <root in base64>
//
//     — trustsql/<chain id> <base64 of key id (4 bytes) and signature (64 bytes)>

import { base64, concat, equal, hex, tryFromBase64, tryFromHex, utf8 } from './bytes.ts';
import type { Crypto } from './crypto.ts';
import { HASH_BYTES, SIGNATURE_BYTES } from './crypto.ts';
import { FormatError } from './error.ts';
import { LIMITS } from './limits.ts';

const ORIGIN_PREFIX = 'trustsql/';
const KEY_ID_BYTES = 4;
/** Signature type Ed25519 of signed notes. */
const ED25519 = 0x01;
const DASH = '\u2014';

export interface NoteSignature {
  readonly name: string;
  /** 4 bytes. */
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Checkpoint {
  readonly chainId: Uint8Array;
  /** Headers in the tree: height of the newest, plus 1. */
  readonly size: number;
  /** Root of the history tree over them, 32 bytes. */
  readonly root: Uint8Array;
  /** Everything that is signed, with its last line end. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export function checkpointOrigin(chainId: Uint8Array): string {
  return ORIGIN_PREFIX + hex(chainId);
}

/** Key id of an Ed25519 key in signed notes, 4 bytes. */
export function noteKeyId(crypto: Crypto, name: string, publicKey: Uint8Array): Uint8Array {
  const input = concat(utf8(`${name}\n`), new Uint8Array([ED25519]), publicKey);
  return crypto.sha256(input).slice(0, KEY_ID_BYTES);
}

/**
 * A checkpoint signed by a node's key.
 *
 * @param size  headers in the tree
 * @param root  root of the history tree over them
 */
export function makeCheckpoint(
  crypto: Crypto,
  chainId: Uint8Array,
  size: number,
  root: Uint8Array,
  seed: Uint8Array,
): string {
  const origin = checkpointOrigin(chainId);
  const text = `${origin}\n${size}\n${base64(root)}\n`;
  const keyId = noteKeyId(crypto, origin, crypto.publicKeyOf(seed));
  const signed = base64(concat(keyId, crypto.sign(seed, utf8(text))));
  return `${text}\n${DASH} ${origin} ${signed}\n`;
}

function parseSignature(line: string): NoteSignature {
  const [dash, name, encoded, ...rest] = line.split(' ');
  const bytes = encoded === undefined ? null : tryFromBase64(encoded);
  if (dash !== DASH || !name || bytes === null || bytes.length <= KEY_ID_BYTES || rest.length > 0) {
    throw new FormatError('malformed signature line');
  }
  return {
    name,
    keyId: bytes.subarray(0, KEY_ID_BYTES),
    signature: bytes.subarray(KEY_ID_BYTES),
  };
}

/** @throws FormatError unless `note` is a checkpoint of some chain of ours; signatures are not checked */
export function parseCheckpoint(note: string): Checkpoint {
  if (note.length > LIMITS.checkpointCharactersMax) throw new FormatError('checkpoint is too long');
  if (!note.isWellFormed()) throw new FormatError('checkpoint is not Unicode');
  // The signatures follow the last empty line.
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n')) throw new FormatError('checkpoint is not a signed note');
  const text = note.slice(0, split + 1);
  const [origin = '', size = '', root = ''] = text.split('\n');
  const chainId = origin.startsWith(ORIGIN_PREFIX)
    ? tryFromHex(origin.slice(ORIGIN_PREFIX.length))
    : null;
  const rootBytes = tryFromBase64(root);
  if (chainId?.length !== HASH_BYTES || checkpointOrigin(chainId) !== origin) {
    throw new FormatError('checkpoint of something else than a ledger');
  }
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) {
    throw new FormatError('malformed size');
  }
  if (rootBytes?.length !== HASH_BYTES) throw new FormatError('malformed root');
  const lines = note.slice(split + 2, -1).split('\n');
  const signatures = lines.map(parseSignature);
  return { chainId, size: Number(size), root: rootBytes, text, signatures };
}

/** Those of `publicKeys` that have signed the checkpoint as nodes of its chain. */
export function signersOf(
  crypto: Crypto,
  checkpoint: Checkpoint,
  publicKeys: readonly Uint8Array[],
): readonly Uint8Array[] {
  const origin = checkpointOrigin(checkpoint.chainId);
  const message = utf8(checkpoint.text);
  return publicKeys.filter((key) => {
    const keyId = noteKeyId(crypto, origin, key);
    return checkpoint.signatures.some(
      ({ name, keyId: id, signature }) =>
        name === origin &&
        equal(id, keyId) &&
        signature.length === SIGNATURE_BYTES &&
        crypto.verify(key, message, signature),
    );
  });
}
