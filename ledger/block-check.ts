// Everything that can be checked of a block without executing it. Pure, browser-safe.
//
// What needs state is left to whoever executes: validity in time, idempotency, grants, whether a bundle's key is its
// author's, and whether the receipts root of a later header is the one that execution gives. So every node says the
// same of a block, whatever it has executed.

import type { Block, Genesis, Header } from './block.ts';
import { FORMAT_VERSION } from './block.ts';
import { equal } from './bytes.ts';
import { checkCertificateOf, checkCovered } from './certificate-check.ts';
import type { Crypto } from './crypto.ts';
import {
  decodeTransaction,
  encodeBody,
  encodeGenesis,
  encodeHeader,
  transactionIdOf,
} from './encoding.ts';
import { isFormatError } from './error.ts';
import type { EpochConfig } from './epoch.ts';
import { genesisConfig, memberOf, nextConfig } from './epoch.ts';
import { genesisHeader } from './genesis.ts';
import { bodyHash, headerHash, partCommitment } from './hash.ts';
import type { HistoryTree } from './history-tree.ts';
import { merkleRoot } from './merkle.ts';
import { verifyBundle } from './signing.ts';
import type { Bundle, ReadTransaction, Transaction } from './transaction.ts';
import type { Certificate } from './vote.ts';

/** What a block is checked against. */
export interface CheckContext {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
}

export interface CheckedParent {
  readonly header: Header;
  readonly hash: Uint8Array;
  /** Over the header hashes up to and including the parent's. */
  readonly history: HistoryTree;
  readonly certificate: Certificate;
  /** In force after the parent. */
  readonly config: EpochConfig;
}

/** A checked block as the parent of the next. `history` has its hash already. */
export function asParent(
  { config }: Pick<CheckedParent, 'config'>,
  block: Block,
  hash: Uint8Array,
  history: HistoryTree,
): CheckedParent {
  const { header, certificate } = block;
  const next = header.height === 0 ? config : nextConfig(config, header, block.system);
  return { header, hash, history, certificate, config: next };
}

/** The first thing found wrong: which field or part, and a sentence about it. */
export interface BlockProblem {
  readonly what: keyof Header | 'certificate' | 'bundle' | 'transaction';
  /** Place in the block of the bundle or transaction that is wrong, from 0; null for others. */
  readonly position: number | null;
  readonly message: string;
}

function problem(
  what: BlockProblem['what'],
  message: string,
  position: number | null = null,
): BlockProblem {
  return { what, position, message };
}

/** @returns the first problem of a block of height 1 or more, or null */
export function checkBlock(
  context: CheckContext,
  parent: CheckedParent,
  block: Block,
): BlockProblem | null {
  return (
    checkHeader(context, parent, block.header) ??
    checkBody(context, block) ??
    checkCertificate({ ...context, config: parent.config }, block.header, block.certificate) ??
    certificateProblem(checkCovered(parent.header, parent.certificate, block.certificate))
  );
}

/** @returns the first problem of a header in its place after `parent`, its certificate and body aside */
export function checkHeader(
  { chainId }: Pick<CheckContext, 'chainId'>,
  parent: Omit<CheckedParent, 'certificate'>,
  header: Header,
): BlockProblem | null {
  if (header.version !== FORMAT_VERSION) return problem('version', 'unknown format version');
  if (!equal(header.chainId, chainId)) return problem('chainId', 'belongs to another chain');
  if (header.height !== parent.header.height + 1) {
    return problem('height', `height ${parent.header.height + 1} expected, not ${header.height}`);
  }
  if (!equal(header.parent, parent.hash)) return problem('parent', 'names another parent');
  if (header.timeMs < parent.header.timeMs) return problem('timeMs', 'is older than its parent');
  if (memberOf(parent.config, header.proposer) < 0) {
    return problem('proposer', 'proposed by a key that is no member');
  }
  const { epoch } = parent.config;
  if (header.epoch !== epoch) {
    return problem('epoch', `epoch ${epoch} expected, not ${header.epoch}`);
  }
  if (header.epoch === parent.header.epoch && header.term < parent.header.term) {
    return problem('term', 'is of an earlier term than its parent');
  }
  if (!equal(header.historyRoot, parent.history.root())) {
    return problem('historyRoot', 'history root does not match the chain before it');
  }
  return checkExecuted(parent.header, header);
}

/** Results are said one after the other, none passed over, never past the parent, and a height has one. */
function checkExecuted(parent: Header, { executed }: Header): BlockProblem | null {
  const before = parent.executed;
  const next = Math.min(before.height + 1, parent.height);
  if (executed.height < before.height || executed.height > next) {
    return problem('executed', `executed height ${executed.height} is out of order`);
  }
  if (executed.height === before.height && !equal(executed.receiptsRoot, before.receiptsRoot)) {
    return problem('executed', `another receipts root for height ${executed.height}`);
  }
  return null;
}

/** @returns the first problem of the bundles, and of the header's statements about them */
export function checkBody(
  context: CheckContext,
  block: Omit<Block, 'certificate'>,
): BlockProblem | null {
  const { crypto } = context;
  const { header, bundles } = block;
  try {
    if (!equal(header.bodyHash, bodyHash(crypto, encodeBody(block)))) {
      return problem('bodyHash', 'body does not match its hash');
    }
  } catch (error) {
    if (!isFormatError(error)) throw error;
    return problem('bodyHash', `body cannot be: ${error.message}`);
  }
  const ids: Uint8Array[] = [];
  for (const [place, bundle] of bundles.entries()) {
    const read = checkBundle(context, bundle, { place, position: ids.length });
    if (!Array.isArray(read)) return read;
    for (const { id } of read) ids.push(id);
  }
  return checkIds(crypto, header, ids);
}

/** @returns what is wrong in what a header says of the transactions whose ids these are */
export function checkIds(
  crypto: Crypto,
  header: Header,
  ids: readonly Uint8Array[],
): BlockProblem | null {
  if (header.transactionCount !== ids.length) {
    return problem(
      'transactionCount',
      `${header.transactionCount} transactions said, ${ids.length} held`,
    );
  }
  if (!equal(header.transactionsRoot, merkleRoot(crypto, ids))) {
    return problem('transactionsRoot', 'transactions root does not match the transactions');
  }
  return null;
}

/**
 * What a bundle holds, or its first problem. It is checked on its own: a block with it, checked against the same, has none
 * because of it.
 *
 * @param at  its place in a block and the position there of its first transaction, for the problem
 */
export function checkBundle(
  context: CheckContext,
  bundle: Bundle,
  at: { readonly place: number; readonly position: number } = { place: 0, position: 0 },
): ReadTransaction[] | BlockProblem {
  const { crypto, chainId } = context;
  const read: ReadTransaction[] = [];
  for (const bytes of bundle.transactions) {
    const transaction = checkTransaction(context, bundle.author, bytes);
    if (typeof transaction === 'string') {
      return problem('transaction', transaction, at.position + read.length);
    }
    read.push({ id: transactionIdOf(crypto, bytes), transaction });
  }
  const ids = read.map(({ id }) => id);
  const root = merkleRoot(crypto, ids);
  return verifyBundle(crypto, bundle.publicKey, bundle.signature, chainId, ids.length, root)
    ? read
    : problem('bundle', `signature of role ${bundle.author} is not valid`, at.place);
}

/** @returns it, or what is wrong with it */
function checkTransaction(
  context: CheckContext,
  author: number,
  bytes: Uint8Array,
): Transaction | string {
  try {
    const transaction = decodeTransaction(bytes);
    if (!equal(transaction.chainId, context.chainId)) return 'belongs to another chain';
    if (transaction.author !== author)
      return `author ${transaction.author} in a bundle of ${author}`;
    const { text, textCommitment } = transaction;
    return text === null ||
      equal(partCommitment(context.crypto, text.salt, text.value), textCommitment)
      ? transaction
      : 'statement text does not match its commitment';
  } catch (error) {
    if (!isFormatError(error)) throw error;
    return error.message;
  }
}

function certificateProblem(wrong: string | null): BlockProblem | null {
  return wrong === null ? null : problem('certificate', wrong);
}

/** @returns a problem unless the members of the epoch have confirmed the block, or one after it */
export function checkCertificate(
  context: Pick<CheckContext, 'crypto' | 'chainId'> & { readonly config: EpochConfig },
  header: Header,
  certificate: Certificate,
): BlockProblem | null {
  const hash = headerHash(context.crypto, encodeHeader(header));
  return certificateProblem(checkCertificateOf(context, header, hash, certificate));
}

/** @returns the first problem of block 0, or null */
export function checkGenesis(
  crypto: Crypto,
  genesis: Genesis,
  header: Header,
  certificate: Certificate,
): BlockProblem | null {
  const expected = genesisHeader(crypto, genesis, encodeGenesis(genesis), header.proposer);
  for (const field of [
    'chainId',
    'bodyHash',
    'parent',
    'transactionsRoot',
    'historyRoot',
  ] as const) {
    if (!equal(header[field], expected[field])) {
      return problem(field, `${field} is not the one of the genesis record`);
    }
  }
  if (!equal(encodeHeader(header), encodeHeader(expected))) {
    return problem('height', 'header is not the one of the genesis record');
  }
  if (!genesis.nodes.some(({ publicKey }) => equal(publicKey, header.proposer))) {
    return problem('proposer', 'proposed by a key that is no member');
  }
  if (certificate.kind !== 'proposer') return problem('certificate', 'block 0 has no votes');
  const context = { crypto, chainId: expected.chainId, config: genesisConfig(genesis) };
  return checkCertificate(context, header, certificate);
}
