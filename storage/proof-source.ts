// Makes proof bundles of rows from the files of a node. Shell.
//
// Everything in a bundle is read from the chain and its receipts; only the row's values come from the state,
// and the receipt's leaf decides whether they are the ones that were written.

import { decodeBody, decodeChanges, decodeHeader } from '../ledger/encoding.ts';
import { decodeCertificate } from '../ledger/encoding-vote.ts';
import { isOfLater } from '../ledger/certificate-check.ts';
import { decodeTransaction, encodeRowVersion } from '../ledger/encoding.ts';
import { StorageError } from '../ledger/error.ts';
import { equal } from '../ledger/bytes.ts';
import { heightOf, positionOf, stampOf } from '../ledger/operation.ts';
import { nodesOf } from '../ledger/history-tree.ts';
import { proveRow, proveTransaction } from '../ledger/proof.ts';
import { rowVersionHash } from '../ledger/hash.ts';
import { split } from './apply.ts';
import { epochsProof, epochsUpTo } from './epochs.ts';
import { shardFile } from './data-directory.ts';
import { FROM, ROW_ID, VERSION, columnName } from './names.ts';
import { partsOf } from './parts.ts';
import type { CatalogChange, Table } from '../ledger/catalog.ts';
import type { Block } from '../ledger/block.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { EpochsProof } from '../ledger/epoch-check.ts';
import type { Datum } from '../ledger/type.ts';
import type { DefinitionProof, RowProof, TransactionProof } from '../ledger/proof.ts';
import type { NodeAt } from '../ledger/history-tree.ts';
import type { BlockStore, StoredBlock } from './block-store.ts';
import type { Epoch } from './epochs.ts';
import type { StateReader } from './snapshot.ts';

/** Values of a version, and the shard they lie in. */
interface Found {
  readonly shard: number;
  readonly values: readonly Datum[];
}

export class ProofSource {
  readonly #crypto: Crypto;
  readonly #reader: StateReader;
  readonly #blocks: BlockStore;
  /** Keeps the upper levels of the history tree from one proof to the next. */
  readonly #nodeAt: NodeAt;
  /** As far as they were looked for. */
  #epochs: readonly Epoch[] = [];

  /** @param reader in a snapshot whenever `prove` is called */
  constructor(crypto: Crypto, reader: StateReader, blocks: BlockStore) {
    this.#crypto = crypto;
    this.#reader = reader;
    this.#blocks = blocks;
    this.#nodeAt = nodesOf(crypto, (height) => this.#headerHash(height));
  }

  /**
   * The proof of one version of a row.
   *
   * @param version         its stamp: of the current row, or of one in history
   * @param checkpointSize  size of a checkpoint that the proof shall stand on as well, or null
   * @returns null while no header covers the results of the block that wrote it, and for no such version
   * @throws StorageError damaged when the row is not the one that was written
   */
  prove(
    table: Table,
    rowId: bigint,
    version: bigint,
    checkpointSize: number | null = null,
  ): RowProof | null {
    const newest = this.#reader.height();
    if (this.#blocks.tip < newest) this.#blocks.refresh(newest);
    const anchorHeight = this.#anchor(newest);
    const transaction = this.#transaction(version, anchorHeight);
    if (transaction === null) return null;
    const shape = this.#reader.catalogAt(version).relations.get(table.id);
    if (shape?.kind !== 'table') return null;
    const found = this.#find(shape, table, rowId, version);
    if (found === null) return null;
    const row = encodeRowVersion({
      relation: shape.id,
      schemaVersion: shape.schemaVersion,
      rowId,
      stamp: version,
      deleted: false,
      columns: shape.columns.map(({ id }) => id),
      values: found.values,
    });
    const puts = (change: CatalogChange): boolean =>
      'put' in change && change.put === 'relation' && change.object.id === table.id;
    const versionHashes = split(this.#leaves(version));
    const hash = rowVersionHash(this.#crypto, row);
    const versionIndex = versionHashes.findIndex((leaf) => equal(leaf, hash));
    if (versionIndex < 0) {
      const file = shardFile(this.#reader.data.path, found.shard);
      const message = `row ${rowId} of ${table.name} is not as block ${heightOf(version)} wrote it`;
      throw new StorageError('damaged', `${file}: ${message}`);
    }
    return proveRow(this.#crypto, {
      row,
      versionHashes,
      versionIndex,
      transaction,
      table: this.#definition(version, anchorHeight, puts),
      author: this.#authorOf(transaction, version, anchorHeight),
      headerAt: (height) => this.#stored(height).header,
      anchorHeight,
      certificate: this.#stored(anchorHeight).certificate,
      epochs: this.#epochsProof(anchorHeight),
      nodeAt: this.#nodeAt,
      checkpointSize,
    });
  }

  /** The newest block that votes, or its proposer, have confirmed by itself and not by a descendant. */
  #anchor(newest: number): number {
    for (let height = newest; height > 0; height--) {
      const { header, certificate } = this.#stored(height);
      if (!isOfLater(decodeCertificate(certificate), decodeHeader(header))) return height;
    }
    return 0;
  }

  /** The genesis record, and the blocks that end the epochs before that of the anchor. */
  #epochsProof(anchor: number): EpochsProof {
    const known = this.#epochs.filter(({ from }) => from <= anchor);
    this.#epochs = epochsUpTo(this.#blocks, anchor, known);
    return epochsProof(this.#blocks, anchor, this.#epochs);
  }

  #authorOf(proof: TransactionProof, version: bigint, anchor: number): DefinitionProof | null {
    const { author } = decodeTransaction(proof.transaction);
    const { publicKey } = proof;
    const signs = (change: CatalogChange): boolean =>
      'put' in change &&
      change.put === 'role' &&
      change.object.id === author &&
      change.object.publicKey !== null &&
      equal(change.object.publicKey, publicKey);
    return this.#definition(version, anchor, signs);
  }

  /** A version in the columns that the table had then, wherever it lies now. */
  #find(shape: Table, now: Table, rowId: bigint, version: bigint): Found | null {
    const { database } = this.#reader;
    const columns = shape.columns.map(({ id }) => columnName(id)).join() || 'NULL';
    const find = (schema: string, name: string, stamp: string): Datum[] | undefined =>
      database
        .prepare(`SELECT ${columns} FROM ${schema}.${name} WHERE ${ROW_ID}=? AND ${stamp}=?`)
        .raw()
        .get(rowId, version) as Datum[] | undefined;
    for (const { shard, schema, rows, history } of partsOf(now)) {
      const found = find(schema, rows, VERSION) ?? find(schema, history, FROM);
      if (found !== undefined) return { shard, values: found.slice(0, shape.columns.length) };
    }
    return null;
  }

  /** Proof of the transaction of a stamp; null while no header covers its results. */
  #transaction(stamp: bigint, anchorHeight: number): TransactionProof | null {
    const height = heightOf(stamp);
    const executedIn = this.#coveredBy(height, anchorHeight);
    if (executedIn === null) return null;
    const { header, body, certificate } = this.#stored(height);
    const block: Block = {
      header: decodeHeader(header),
      ...decodeBody(body),
      certificate: decodeCertificate(certificate),
    };
    const receipts = this.#reader.database
      .prepare('SELECT receipt FROM main._receipt WHERE stamp>=? AND stamp<? ORDER BY stamp')
      .pluck()
      .all(stampOf(height, 0), stampOf(height + 1, 0)) as Uint8Array[];
    return proveTransaction(this.#crypto, block, positionOf(stamp), receipts, executedIn);
  }

  /** Height of the header whose `executed` is that block. */
  #coveredBy(height: number, newest: number): number | null {
    for (let at = height + 1; at <= newest; at++) {
      const { executed } = decodeHeader(this.#stored(at).header);
      if (executed.height === height) return at;
      if (executed.height > height) return null;
    }
    return null;
  }

  /** Where the newest change that `defines` comes from, up to a stamp. */
  #definition(
    stamp: bigint,
    anchorHeight: number,
    defines: (change: CatalogChange) => boolean,
  ): DefinitionProof | null {
    const rows = this.#reader.database
      .prepare('SELECT stamp, changes FROM main._catalog WHERE stamp<=? ORDER BY version DESC')
      .iterate(stamp) as Iterable<{ stamp: bigint; changes: Uint8Array }>;
    for (const row of rows) {
      if (!decodeChanges(row.changes).some(defines)) continue;
      if (row.stamp === 0n) return { kind: 'genesis', record: this.#stored(0).body };
      const proof = this.#transaction(row.stamp, anchorHeight);
      return proof === null ? null : { kind: 'transaction', proof };
    }
    return null;
  }

  #leaves(stamp: bigint): Uint8Array {
    const leaves = this.#reader.database
      .prepare('SELECT leaves FROM main._receipt WHERE stamp=?')
      .pluck()
      .get(stamp);
    return (leaves as Uint8Array | undefined) ?? new Uint8Array(0);
  }

  #stored(height: number): StoredBlock {
    const stored = this.#blocks.read(height);
    if (stored !== null) return stored;
    throw new StorageError('damaged', `${this.#blocks.fileOf(height)}: block ${height} is missing`);
  }

  #headerHash(height: number): Uint8Array {
    const hash = this.#reader.database
      .prepare('SELECT hash FROM chain.block WHERE height=?')
      .pluck()
      .get(BigInt(height));
    if (hash instanceof Uint8Array) return hash;
    const { path } = this.#reader.data;
    throw new StorageError('damaged', `${path}: the index has no block ${height}`);
  }
}
