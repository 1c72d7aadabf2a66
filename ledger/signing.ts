// What is signed. Pure, browser-safe.
//
// Every message begins with a name of its own and the chain id, so a signature means one thing on one chain.
// All fields have a fixed length: no two contents give the same message.

import { concat, uint32, utf8 } from './bytes.ts';
import type { Crypto } from './crypto.ts';
import type { Vote } from './vote.ts';

const BUNDLE_TAG = utf8('trustsql bundle v1\n');
const HEADER_TAG = utf8('trustsql header v1\n');
/** Kind and mode, a byte each; epoch, term and height, 8 bytes each; member, 4 bytes. */
const VOTE_FIELDS_BYTES = 30;
const VOTE_TAG = utf8('trustsql vote v1\n');

/**
 * What an author signs: `count` transactions whose ids have the Merkle root `root`.
 *
 * @param publicKey the author's, 32 bytes, so that the signature names its key
 */
export function bundleMessage(
  chainId: Uint8Array,
  publicKey: Uint8Array,
  count: number,
  root: Uint8Array,
): Uint8Array {
  return concat(BUNDLE_TAG, chainId, publicKey, uint32(count), root);
}

/** What a node signs when it proposes a block; `hash` is the header's. */
export function headerMessage(chainId: Uint8Array, hash: Uint8Array): Uint8Array {
  return concat(HEADER_TAG, chainId, hash);
}

/** What a member signs when it votes. */
export function voteMessage(chainId: Uint8Array, vote: Omit<Vote, 'signature'>): Uint8Array {
  const { kind, mode, epoch, term, height, member, hash } = vote;
  // One buffer: a node makes this for every vote of every member.
  const fields = new Uint8Array(VOTE_FIELDS_BYTES);
  const view = new DataView(fields.buffer);
  fields[0] = kind === 'ack' ? 0 : 1;
  fields[1] = mode === 'raft' ? 0 : 1;
  [epoch, term, height].forEach((value, at) => {
    view.setUint32(2 + 8 * at, Math.floor(value / 2 ** 32));
    view.setUint32(6 + 8 * at, value % 2 ** 32);
  });
  view.setUint32(26, member);
  return concat(VOTE_TAG, chainId, fields, hash);
}

/** Statements of members that are signed by their hash. */
export type StatementKind = 'report' | 'new term' | 'health' | 'suspicion' | 'rules';

const STATEMENT_TAGS: Readonly<Record<StatementKind, Uint8Array>> = {
  report: utf8('trustsql report v1\n'),
  'new term': utf8('trustsql new term v1\n'),
  health: utf8('trustsql health v1\n'),
  suspicion: utf8('trustsql suspicion v1\n'),
  rules: utf8('trustsql rules v1\n'),
};

/** What is signed of a statement whose encoding, without the signature, has the statement hash `hash`. */
export function statementMessage(
  kind: StatementKind,
  chainId: Uint8Array,
  hash: Uint8Array,
): Uint8Array {
  return concat(STATEMENT_TAGS[kind], chainId, hash);
}

export function signBundle(
  crypto: Crypto,
  seed: Uint8Array,
  chainId: Uint8Array,
  publicKey: Uint8Array,
  count: number,
  root: Uint8Array,
): Uint8Array {
  return crypto.sign(seed, bundleMessage(chainId, publicKey, count, root));
}

export function verifyBundle(
  crypto: Crypto,
  publicKey: Uint8Array,
  signature: Uint8Array,
  chainId: Uint8Array,
  count: number,
  root: Uint8Array,
): boolean {
  return crypto.verify(publicKey, bundleMessage(chainId, publicKey, count, root), signature);
}

/** The certificate of solo, and what makes a proposal its leader's. */
export function signHeader(
  crypto: Crypto,
  seed: Uint8Array,
  chainId: Uint8Array,
  hash: Uint8Array,
): Uint8Array {
  return crypto.sign(seed, headerMessage(chainId, hash));
}

export function verifyHeader(
  crypto: Crypto,
  node: Uint8Array,
  signature: Uint8Array,
  chainId: Uint8Array,
  hash: Uint8Array,
): boolean {
  return crypto.verify(node, headerMessage(chainId, hash), signature);
}

export function signVote(
  crypto: Crypto,
  seed: Uint8Array,
  chainId: Uint8Array,
  vote: Omit<Vote, 'signature'>,
): Vote {
  return { ...vote, signature: crypto.sign(seed, voteMessage(chainId, vote)) };
}

/** @param publicKey of the member that the vote names */
export function verifyVote(
  crypto: Crypto,
  publicKey: Uint8Array,
  chainId: Uint8Array,
  vote: Vote,
): boolean {
  return crypto.verify(publicKey, voteMessage(chainId, vote), vote.signature);
}
