// What the node gives to those who check it: signed digests, proofs of rows, receipts. Shell.
//
// Read from the files on a connection of its own, in a snapshot, so that nothing moves while it is put together.

import { setTimeout as delay } from 'node:timers/promises';
import { hex } from '../ledger/bytes.ts';
import type { Table } from '../ledger/catalog.ts';
import { makeCheckpoint } from '../ledger/checkpoint.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { decodeReceipt, decodeTransaction } from '../ledger/encoding.ts';
import { SqlError } from '../ledger/error.ts';
import { heightOf, positionOf } from '../ledger/operation.ts';
import type { Operation } from '../ledger/operation.ts';
import { formatProof } from '../ledger/proof-json.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { Receipt } from '../ledger/transaction.ts';
import type { Row } from '../ledger/type.ts';
import { BlockStore } from '../storage/block-store.ts';
import { stampOfId } from '../storage/chain-index.ts';
import { ProofSource } from '../storage/proof-source.ts';
import { StateReader } from '../storage/snapshot.ts';

/** How often, and how many milliseconds apart, a proof is tried whose anchor is not here yet. */
const ANCHOR_TRIES = 200;
const ANCHOR_MS = 25;

export interface EvidenceOptions {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  readonly dataDirectory: string;
  readonly nodeSeed: Uint8Array;
  /** The history tree over all headers, when they are durable. */
  readonly history: () => Promise<{ readonly size: number; root(): Uint8Array }>;
  /** Time of the newest block executed, in milliseconds since 1970. */
  readonly blockTime: () => number;
  /** Makes all that was executed visible to other connections. */
  readonly settle: () => void;
  /** Makes sure that the newest results are covered by a header. */
  readonly prove: () => Promise<void>;
}

export class Evidence {
  readonly #options: EvidenceOptions;
  readonly #reader: StateReader;
  readonly #blocks: BlockStore;
  readonly #proofs: ProofSource;

  constructor(options: EvidenceOptions) {
    this.#options = options;
    this.#reader = StateReader.open(options.dataDirectory);
    this.#blocks = new BlockStore(options.dataDirectory, { readonly: true });
    this.#proofs = new ProofSource(options.crypto, this.#reader, this.#blocks);
  }

  /** A C2SP tlog-checkpoint over the whole chain, the newest results included, signed by this node. */
  async digest(): Promise<string> {
    const { crypto, chainId, nodeSeed, history, prove } = this.#options;
    await prove();
    const tree = await history();
    return makeCheckpoint(crypto, chainId, tree.size, tree.root(), nodeSeed);
  }

  /**
   * The proof of a current row as JSON; null when there is no such row.
   *
   * @param index  id of a unique index
   * @param key    in the order of its keys
   * @param allow  called with every relation that the proof shows rows of, before it is given away
   */
  async proof(
    table: Table,
    index: number,
    key: Row,
    allow: (relation: number) => void,
  ): Promise<string | null> {
    for (let tries = 1; ; tries += 1) {
      const proof = await this.#tryProof(table, index, key, allow);
      if (proof !== null) return proof.text;
      // The newest blocks may be confirmed by votes for a block that is on its way to the disk.
      if (tries === ANCHOR_TRIES) throw noAnchor();
      await delay(ANCHOR_MS);
    }
  }

  /** @returns null when no block that is here and has votes of its own covers the row yet */
  async #tryProof(
    table: Table,
    index: number,
    key: Row,
    allow: (relation: number) => void,
  ): Promise<{ readonly text: string | null } | null> {
    await this.#options.prove();
    this.#options.settle();
    this.#reader.begin();
    try {
      // As the snapshot has it: the table may have gone to another file since it was looked up.
      const now = this.#reader.catalog().relations.get(table.id);
      if (now?.kind !== 'table') return { text: null };
      const row = this.#reader.findRow(now, index, key);
      if (row === null) return { text: null };
      const proof = this.#proofs.prove(now, row.rowId, row.version);
      if (proof === null) return null;
      // The transaction that wrote the row is part of its proof, with all else that it wrote.
      const { operations } = decodeTransaction(proof.transaction.transaction);
      for (const relation of operations.flatMap(relationsOf)) allow(relation);
      return { text: formatProof(proof) };
    } finally {
      this.#reader.end();
    }
  }

  /** The receipt of a transaction as JSON; null when there is no such transaction. */
  receipt(id: Uint8Array): string | null {
    const found = this.#receiptOf(id);
    if (found === null) return null;
    const { counts, versionCount, versionsRoot } = found.receipt;
    return JSON.stringify({
      ...outcomeOf(found),
      operations: counts,
      versions: versionCount,
      versionsRoot: hex(versionsRoot),
    });
  }

  /**
   * What became of a transaction, as JSON. `unknown`: this node has not executed it, and it may still come; `never`:
   * it cannot come any more.
   *
   * @param validUntilMs  of the transaction, milliseconds since 1970; null when whoever asks does not know it
   */
  status(id: Uint8Array, validUntilMs: number | null): string {
    const found = this.#receiptOf(id);
    if (found !== null) return JSON.stringify(outcomeOf(found));
    // From a block of a later time on it would be aborted, and blocks never go back in time.
    const never = validUntilMs !== null && this.#options.blockTime() > validUntilMs;
    return JSON.stringify({ transaction: hex(id), status: never ? 'never' : 'unknown' });
  }

  #receiptOf(id: Uint8Array): FoundReceipt | null {
    this.#options.settle();
    const { database } = this.#reader;
    const stamp = stampOfId(database, id);
    if (stamp === null) return null;
    const bytes = database
      .prepare('SELECT receipt FROM main._receipt WHERE stamp=?')
      .pluck()
      .get(stamp);
    if (!(bytes instanceof Uint8Array)) return null;
    return { stamp, receipt: decodeReceipt(bytes) };
  }

  close(): void {
    this.#blocks.close();
    this.#reader.close();
  }
}

interface FoundReceipt {
  readonly stamp: bigint;
  readonly receipt: Receipt;
}

function outcomeOf({ stamp, receipt: { transactionId, abort } }: FoundReceipt) {
  return {
    transaction: hex(transactionId),
    height: heightOf(stamp),
    position: positionOf(stamp),
    status: abort === null ? 'committed' : 'aborted',
    ...(abort === null ? {} : { sqlstate: abort.sqlstate, message: abort.message }),
  };
}

function noAnchor(): SqlError {
  return new SqlError(
    SQLSTATE.objectNotInPrerequisiteState,
    'no block of this node covers the row yet',
    {
      hint: 'The other nodes have not told this one of the votes: try again, or ask another node.',
    },
  );
}

function relationsOf(operation: Operation): readonly number[] {
  return 'relation' in operation ? [operation.relation] : [];
}
