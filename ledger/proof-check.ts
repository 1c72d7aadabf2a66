// Checks proof bundles with nothing but the chain id or public keys. Pure, browser-safe, small enough to be audited.
//
// (1) Everything in a verdict's `row`, `transaction` and `anchor` follows from the signatures of pinned keys, or
//     of a quorum of the members that a pinned chain id stands for, and the collision resistance of SHA-256;
//     nothing else in the bundle is repeated in it.
// (2) The first mismatch ends the check and is named; there is no partly valid bundle.
// (3) Never throws for what is in the bundle.

import type { Header } from './block.ts';
import { equal, hex } from './bytes.ts';
import type { CatalogChange, Role, Table } from './catalog.ts';
import { checkConfirms } from './certificate-check.ts';
import { parseCheckpoint, signersOf as checkpointSigners } from './checkpoint.ts';
import type { Crypto } from './crypto.ts';
import {
  decodeGenesis,
  decodeHeader,
  decodeReceipt,
  decodeRowVersion,
  decodeTransaction,
  transactionIdOf,
} from './encoding.ts';
import { decodeCertificate } from './encoding-vote.ts';
import { checkConfirmed, checkEpochs } from './epoch-check.ts';
import type { EpochConfig } from './epoch.ts';
import { isFormatError } from './error.ts';
import { chainIdOf, headerHash, partCommitment, receiptHash, rowVersionHash } from './hash.ts';
import { verifyConsistency, verifyInclusion } from './history-tree.ts';
import { rootAbove, verifyMerklePath } from './merkle.ts';
import { stampOf } from './operation.ts';
import type { DefinitionProof, RowProof, TransactionProof } from './proof.ts';
import { verifyBundle, verifyHeader, verifyVote } from './signing.ts';
import type { Custody, Receipt, RowVersion, Transaction } from './transaction.ts';
import type { Datum, SqlType } from './type.ts';
import type { Certificate } from './vote.ts';
import { votesOf } from './vote.ts';

/** What the reader of a bundle trusts beforehand. */
export interface ProofTrust {
  /** Public keys of the chain's nodes, known from elsewhere; none is enough where `chainId` is given. */
  readonly nodeKeys: readonly Uint8Array[];
  /** Signatures of those keys that the anchor needs; a majority of them if not given. */
  readonly signaturesMin?: number;
  /** The chain id, if it is known from elsewhere: it stands for the members in all epochs. */
  readonly chainId?: Uint8Array;
  /** A checkpoint note got from elsewhere, signed by one of `nodeKeys`, or by a member if there are none. */
  readonly checkpoint?: string;
}

export type ProofStep =
  'anchor' | 'checkpoint' | 'headers' | 'transaction' | 'row' | 'table' | 'author';

export interface ProvenColumn {
  readonly id: number;
  /** From the proven definition of the table; null without one. */
  readonly name: string | null;
  readonly type: SqlType | null;
  readonly value: Datum;
}

export interface ProvenRow {
  readonly relation: number;
  /** Name of the table when the row was written; null if its definition is not in the bundle. */
  readonly table: string | null;
  readonly schemaVersion: number;
  readonly rowId: bigint;
  readonly deleted: boolean;
  readonly columns: readonly ProvenColumn[];
}

export interface ProvenTransaction {
  readonly id: Uint8Array;
  readonly height: number;
  readonly position: number;
  /** Time of its block, milliseconds since 1970, as its proposer said it. */
  readonly timeMs: number;
  /** Role id of the author. */
  readonly author: number;
  /** The key that signed, the role's name, who held the key; null if the role is not in the bundle. */
  readonly publicKey: Uint8Array | null;
  readonly authorName: string | null;
  readonly custody: Custody | null;
  /** Statement text; null once erased. */
  readonly text: string | null;
}

export interface ProvenAnchor {
  readonly chainId: Uint8Array;
  readonly height: number;
  readonly hash: Uint8Array;
  readonly timeMs: number;
  /** Those of the trusted keys that have signed it; without any, the members that have. */
  readonly signers: readonly Uint8Array[];
  /** Size of the checkpoint the anchor was found consistent with, or null. */
  readonly checkpointSize: number | null;
}

export type Verdict =
  | {
      readonly valid: true;
      readonly row: ProvenRow;
      readonly transaction: ProvenTransaction;
      readonly anchor: ProvenAnchor;
      /** What was checked, a sentence each, in order. */
      readonly steps: readonly { readonly step: ProofStep; readonly detail: string }[];
    }
  | { readonly valid: false; readonly step: ProofStep; readonly message: string };

/** A check in progress. */
interface Check {
  readonly crypto: Crypto;
  readonly proof: RowProof;
  readonly trust: ProofTrust;
  /** Named when something does not match from here on. */
  step: ProofStep;
  readonly steps: { readonly step: ProofStep; readonly detail: string }[];
}

/** Ends a check; never leaves this file. */
class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

function must(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Mismatch(message);
}

/** Checks a bundle against what the reader trusts. */
export function checkProof(crypto: Crypto, proof: RowProof, trust: ProofTrust): Verdict {
  const check: Check = { crypto, proof, trust, step: 'anchor', steps: [] };
  try {
    return checkEverything(check);
  } catch (error) {
    if (Error.isError(error) && (error.name === 'Mismatch' || isFormatError(error))) {
      return { valid: false, step: check.step, message: error.message };
    }
    throw error;
  }
}

function checkEverything(check: Check): Verdict {
  const { crypto, proof } = check;
  const { header: anchor, hash, signers, checkpointKeys } = checkAnchor(check);
  const checkpointSize = checkCheckpoint(check, anchor, checkpointKeys);
  const headers = checkHeaders(check, anchor);
  check.step = 'transaction';
  const written = checkTransaction(check, headers, anchor.chainId, proof.transaction);
  check.steps.push({
    step: 'transaction',
    detail: `transaction ${hex(written.id)} in block ${written.height} was signed by its author and committed`,
  });
  const version = checkRow(check, written);
  const table = checkTable(check, headers, version, written);
  const role = checkAuthor(check, headers, written);
  const { chainId, height, timeMs } = anchor;
  return {
    valid: true,
    row: {
      relation: version.relation,
      table: table?.name ?? null,
      schemaVersion: version.schemaVersion,
      rowId: version.rowId,
      deleted: version.deleted,
      columns: provenColumns(version, table),
    },
    transaction: {
      id: written.id,
      height: written.height,
      position: written.position,
      timeMs: written.timeMs,
      author: written.transaction.author,
      publicKey: role?.publicKey ?? null,
      authorName: role?.name ?? null,
      custody: role?.custody ?? null,
      text: textOf(crypto, written.transaction),
    },
    anchor: { chainId, height, hash, timeMs, signers, checkpointSize },
    steps: check.steps,
  };
}

/** The anchor's header, confirmed by the members of its epoch and signed by enough trusted keys. */
function checkAnchor(check: Check) {
  const { crypto, trust } = check;
  const bytes = check.proof.anchor;
  const header = decodeHeader(bytes.header);
  const certificate = decodeCertificate(bytes.certificate);
  const { chainId, height } = header;
  if (trust.chainId !== undefined) {
    must(equal(chainId, trust.chainId), 'the bundle is about another chain');
  }
  const hash = headerHash(crypto, bytes.header);
  const members = checkMembers(check, header);
  const fromChain = trust.nodeKeys.length === 0 && trust.chainId !== undefined;
  must(!fromChain || members !== null, 'the bundle does not show who the members are');
  const keys = fromChain ? members!.newest : trust.nodeKeys;
  const signed = signersOf(crypto, chainId, header, hash, certificate);
  const signers = keys.filter(
    (key, at) => keys.findIndex((other) => equal(other, key)) === at && signed(key),
  );
  if (!fromChain) {
    const needed = Math.max(1, trust.signaturesMin ?? Math.floor(keys.length / 2) + 1);
    const count = `${signers.length} trusted node ${signers.length === 1 ? 'key' : 'keys'}`;
    must(signers.length >= needed, `header ${height} is signed by ${count}, ${needed} needed`);
    check.steps.push({ step: 'anchor', detail: `header ${height} is signed by ${count}` });
  }
  return { header, hash, signers, checkpointKeys: fromChain ? members!.all : trust.nodeKeys };
}

/** Keys of the members of the anchor's epoch, and of all epochs up to it; null if the bundle leaves them out. */
function checkMembers(check: Check, { chainId, height, epoch }: Header) {
  const { crypto, proof } = check;
  if (proof.epochs === null) return null;
  const configs = checkEpochs(crypto, chainId, proof.epochs);
  const config = configs.at(-1)!;
  const wrong = checkConfirmed(crypto, chainId, config, proof.anchor);
  must(wrong === null, `the anchor is not confirmed: ${wrong}`);
  const keysOf = ({ members }: EpochConfig) => members.map(({ publicKey }) => publicKey);
  const count = `${config.members.length} ${config.members.length === 1 ? 'member' : 'members'}`;
  const detail = `header ${height} is confirmed by a quorum of the ${count} of epoch ${epoch}`;
  check.steps.push({ step: 'anchor', detail });
  return { newest: keysOf(config), all: configs.flatMap(keysOf) };
}

/** Whether a key is one of those that have confirmed a header: a vote belongs to the key it verifies under. */
function signersOf(
  crypto: Crypto,
  chainId: Uint8Array,
  header: Header,
  hash: Uint8Array,
  certificate: Certificate,
): (key: Uint8Array) => boolean {
  if (certificate.kind === 'proposer') {
    const { signature } = certificate;
    return (key) =>
      equal(key, header.proposer) && verifyHeader(crypto, key, signature, chainId, hash);
  }
  const own = certificate.height === header.height && equal(certificate.hash, hash);
  must(own, 'the certificate of the anchor is of another block');
  const wrong = checkConfirms(certificate, header);
  must(wrong === null, `the anchor is not confirmed: ${wrong}`);
  const ballot = { ...certificate, kind: votesOf(certificate.kind) };
  return (key) =>
    certificate.signatures.some((vote) => verifyVote(crypto, key, chainId, { ...ballot, ...vote }));
}

/** Size of the reader's checkpoint, whose tree must be one with the anchor's; null without one. */
function checkCheckpoint(check: Check, anchor: Header, keys: readonly Uint8Array[]): number | null {
  const { crypto, trust } = check;
  const { consistency } = check.proof;
  if (trust.checkpoint === undefined) return null;
  check.step = 'checkpoint';
  const checkpoint = parseCheckpoint(trust.checkpoint);
  const { size, root, chainId } = checkpoint;
  must(equal(chainId, anchor.chainId), 'the checkpoint is about another chain');
  const signers = checkpointSigners(crypto, checkpoint, keys);
  must(signers.length > 0, 'the checkpoint is not signed by a trusted node key');
  const given = consistency?.size === size ? consistency.hashes : null;
  const hashes = size === anchor.height ? [] : given;
  must(hashes !== null, `the bundle has no way to a checkpoint of size ${size}`);
  const consistent =
    size <= anchor.height
      ? verifyConsistency(crypto, size, root, anchor.height, anchor.historyRoot, hashes)
      : verifyConsistency(crypto, anchor.height, anchor.historyRoot, size, root, hashes);
  must(consistent, 'the chain is not the one of the checkpoint');
  const detail = `header ${anchor.height} and the checkpoint of size ${size} are of one chain`;
  check.steps.push({ step: 'checkpoint', detail });
  return size;
}

/** Every header by height, the anchor among them, each proven to lie in the anchor's history. */
function checkHeaders(check: Check, anchor: Header): ReadonlyMap<number, Header> {
  const { crypto, proof } = check;
  check.step = 'headers';
  const { historyRoot, height: size, chainId } = anchor;
  const headers = new Map([[size, anchor]]);
  for (const { header: bytes, siblings } of proof.headers) {
    const header = decodeHeader(bytes);
    const hash = headerHash(crypto, bytes);
    const { height } = header;
    const known =
      equal(header.chainId, chainId) &&
      verifyInclusion(crypto, hash, height, size, siblings, historyRoot);
    must(known, `header ${height} does not lie in the history of header ${size}`);
    headers.set(height, header);
  }
  const detail = `${proof.headers.length} other headers lie in the history of header ${size}`;
  check.steps.push({ step: 'headers', detail });
  return headers;
}

interface CheckedTransaction {
  readonly id: Uint8Array;
  readonly transaction: Transaction;
  readonly receipt: Receipt;
  readonly height: number;
  readonly position: number;
  readonly timeMs: number;
}

/** A transaction signed by its author, ordered in its block, executed and committed. */
function checkTransaction(
  { crypto }: Check,
  headers: ReadonlyMap<number, Header>,
  chainId: Uint8Array,
  proof: TransactionProof,
): CheckedTransaction {
  const { height, inBlock, inBundle, publicKey } = proof;
  const header = headers.get(height);
  must(header !== undefined, `header ${height} is missing`);
  const transaction = decodeTransaction(proof.transaction);
  const id = transactionIdOf(crypto, proof.transaction);
  const { index, count } = inBlock;
  must(equal(transaction.chainId, chainId), 'the transaction is for another chain');
  const ordered =
    count === header.transactionCount &&
    verifyMerklePath(crypto, id, index, count, inBlock.siblings, header.transactionsRoot);
  must(ordered, `the transaction is not in block ${height}`);
  const root = rootAbove(crypto, id, inBundle.index, inBundle.count, inBundle.siblings);
  const signed =
    root !== null &&
    verifyBundle(crypto, publicKey, proof.signature, chainId, inBundle.count, root);
  must(signed, 'the signature of the author is not valid');
  const receipt = decodeReceipt(proof.receipt);
  must(equal(receipt.transactionId, id), 'the receipt is of another transaction');
  must(receipt.abort === null, 'the transaction was aborted');
  const executed = headers.get(proof.executedIn)?.executed;
  must(executed !== undefined, `header ${proof.executedIn} is missing`);
  const leaf = receiptHash(crypto, proof.receipt);
  const stated =
    executed.height === height &&
    verifyMerklePath(crypto, leaf, index, count, proof.receiptSiblings, executed.receiptsRoot);
  must(stated, `the receipt is not the result that header ${proof.executedIn} states`);
  return { id, transaction, receipt, height, position: index, timeMs: header.timeMs };
}

/** Statement text that matches its commitment; null once erased. */
function textOf(crypto: Crypto, { text, textCommitment }: Transaction): string | null {
  if (text === null) return null;
  must(
    equal(partCommitment(crypto, text.salt, text.value), textCommitment),
    'the statement text is another one',
  );
  // Bytes that are no UTF-8 are shown as they are: the author signed them.
  return new TextDecoder().decode(text.value);
}

/** The row version, written by that transaction. */
function checkRow(check: Check, written: CheckedTransaction): RowVersion {
  const { crypto, proof } = check;
  check.step = 'row';
  const version = decodeRowVersion(proof.row);
  const { index, count, siblings } = proof.inReceipt;
  const { versionCount, versionsRoot } = written.receipt;
  const leaf = rowVersionHash(crypto, proof.row);
  const listed =
    count === versionCount && verifyMerklePath(crypto, leaf, index, count, siblings, versionsRoot);
  must(listed, 'the row version is not among those that the receipt states');
  const stamped = version.stamp === stampOf(written.height, written.position);
  must(stamped, 'the row version has the stamp of another transaction');
  const detail = `the receipt states this version of row ${version.rowId} of relation ${version.relation}`;
  check.steps.push({ step: 'row', detail });
  return version;
}

/** The object that the last change of a definition's source for which `wanted` holds has put. */
function definitionOf<T>(
  check: Check,
  headers: ReadonlyMap<number, Header>,
  source: DefinitionProof,
  written: CheckedTransaction,
  wanted: (change: CatalogChange) => T | null,
): T {
  const { crypto } = check;
  const { chainId } = written.transaction;
  let changes: readonly CatalogChange[];
  if (source.kind === 'genesis') {
    must(
      equal(chainIdOf(crypto, source.record), chainId),
      'the genesis record is of another chain',
    );
    changes = decodeGenesis(source.record).catalog;
  } else {
    const defined = checkTransaction(check, headers, chainId, source.proof);
    const before =
      defined.height < written.height ||
      (defined.height === written.height && defined.position <= written.position);
    must(before, 'the definition is later than the transaction');
    changes = defined.transaction.operations.flatMap((operation) =>
      operation.kind === 'catalog' ? operation.changes : [],
    );
  }
  const found = changes.map(wanted).filter((object) => object !== null);
  must(found.length > 0, 'the definition is not in its source');
  return found.at(-1)!;
}

/** The table as it was defined for the row's schema version; null if the bundle leaves it out. */
function checkTable(
  check: Check,
  headers: ReadonlyMap<number, Header>,
  version: RowVersion,
  written: CheckedTransaction,
): Table | null {
  const source = check.proof.table;
  if (source === null) return null;
  check.step = 'table';
  const table = definitionOf(check, headers, source, written, (change) =>
    'put' in change &&
    change.put === 'relation' &&
    change.object.kind === 'table' &&
    change.object.id === version.relation &&
    change.object.schemaVersion === version.schemaVersion
      ? change.object
      : null,
  );
  const known = version.columns.every((id) => table.columns.some((column) => column.id === id));
  must(known, 'the row has a column that the table has not');
  check.steps.push({ step: 'table', detail: `relation ${table.id} was named ${table.name}` });
  return table;
}

/** The author's role, defined with the key that signed; null if the bundle leaves it out. */
function checkAuthor(
  check: Check,
  headers: ReadonlyMap<number, Header>,
  written: CheckedTransaction,
): Role | null {
  const source = check.proof.author;
  if (source === null) return null;
  check.step = 'author';
  const { author } = written.transaction;
  const role = definitionOf(check, headers, source, written, (change) =>
    'put' in change && change.put === 'role' && change.object.id === author ? change.object : null,
  );
  const { publicKey } = check.proof.transaction;
  const held = role.publicKey !== null && equal(role.publicKey, publicKey);
  must(held, `role ${role.name} was defined with another key`);
  const holder =
    role.custody === 'hosted' ? 'its node' : role.custody === 'own' ? 'itself' : 'nobody';
  const detail = `role ${author} was named ${role.name}, its key held by ${holder}`;
  check.steps.push({ step: 'author', detail });
  return role;
}

function provenColumns(version: RowVersion, table: Table | null): readonly ProvenColumn[] {
  return version.columns.map((id, at) => {
    const column = table?.columns.find((candidate) => candidate.id === id);
    return {
      id,
      name: column?.name ?? null,
      type: column?.type ?? null,
      value: version.values[at] ?? null,
    };
  });
}
