// What the node gives to those who check it: signed digests, proofs of rows, receipts. Shell.
//
// Read from the files on a connection of its own, in a snapshot, so that nothing moves while it is put together.

import { hex } from '../ledger/bytes.ts';
import type { Table } from '../ledger/catalog.ts';
import { makeCheckpoint } from '../ledger/checkpoint.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { decodeReceipt, decodeTransaction } from '../ledger/encoding.ts';
import { heightOf, positionOf } from '../ledger/operation.ts';
import type { Operation } from '../ledger/operation.ts';
import { formatProof } from '../ledger/proof-json.ts';
import type { Row } from '../ledger/type.ts';
import { BlockStore } from '../storage/block-store.ts';
import { stampOfId } from '../storage/chain-index.ts';
import { ProofSource } from '../storage/proof-source.ts';
import { StateReader } from '../storage/snapshot.ts';

export interface EvidenceOptions {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  readonly dataDirectory: string;
  readonly nodeSeed: Uint8Array;
  /** The history tree over all headers, when they are durable. */
  readonly history: () => Promise<{ readonly size: number; root(): Uint8Array }>;
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
    await this.#options.prove();
    this.#options.settle();
    this.#reader.begin();
    try {
      const row = this.#reader.findRow(table, index, key);
      const proof = row === null ? null : this.#proofs.prove(table, row.rowId, row.version);
      if (proof === null) return null;
      // The transaction that wrote the row is part of its proof, with all else that it wrote.
      const { operations } = decodeTransaction(proof.transaction.transaction);
      for (const relation of operations.flatMap(relationsOf)) allow(relation);
      return formatProof(proof);
    } finally {
      this.#reader.end();
    }
  }

  /** The receipt of a transaction as JSON; null when there is no such transaction. */
  receipt(id: Uint8Array): string | null {
    this.#options.settle();
    const { database } = this.#reader;
    const stamp = stampOfId(database, id);
    if (stamp === null) return null;
    const bytes = database
      .prepare('SELECT receipt FROM main._receipt WHERE stamp=?')
      .pluck()
      .get(stamp);
    if (!(bytes instanceof Uint8Array)) return null;
    const { transactionId, abort, counts, versionCount, versionsRoot } = decodeReceipt(bytes);
    return JSON.stringify({
      transaction: hex(transactionId),
      height: heightOf(stamp),
      position: positionOf(stamp),
      status: abort === null ? 'committed' : 'aborted',
      ...(abort === null ? {} : { sqlstate: abort.sqlstate, message: abort.message }),
      operations: counts,
      versions: versionCount,
      versionsRoot: hex(versionsRoot),
    });
  }

  close(): void {
    this.#blocks.close();
    this.#reader.close();
  }
}

function relationsOf(operation: Operation): readonly number[] {
  return 'relation' in operation ? [operation.relation] : [];
}
