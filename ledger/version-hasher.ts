// Leaf hashes of the row versions of one table, as many as there are. Pure, browser-safe.
//
// The same as rowVersionHash of encodeRowVersion, at a third of the price: what all rows have in common is
// encoded once, and nothing is copied between encoding and hashing.

import { CborWriter } from './cbor.ts';
import type { Crypto } from './crypto.ts';
import { ROW_VERSION_DOMAIN } from './hash.ts';
import type { Row } from './type.ts';

/** Fields of a row version (ledger/encoding.ts). */
const FIELDS = 7;

/** One writer for all tables: what it holds is good until the next hash. */
const writer = new CborWriter();

/** What the row versions of a table have in common. */
export interface VersionsOf {
  readonly relation: number;
  readonly schemaVersion: number;
  /** Ids of the columns, in the order of the values. */
  readonly columns: readonly number[];
}

export class VersionHasher {
  readonly #crypto: Crypto;
  /** What is before the row id, and what is between the stamp and the values. */
  readonly #before: Uint8Array;
  readonly #columns: Uint8Array;

  constructor(crypto: Crypto, { relation, schemaVersion, columns }: VersionsOf) {
    this.#crypto = crypto;
    writer.reset();
    writer.raw(Uint8Array.of(ROW_VERSION_DOMAIN));
    writer.array(FIELDS);
    writer.uint(relation);
    writer.uint(schemaVersion);
    this.#before = writer.finish();
    writer.bool(false);
    writer.array(columns.length);
    for (const column of columns) writer.uint(column);
    writer.array(columns.length);
    this.#columns = writer.finish();
  }

  /** @param values one for each column; null when the row is deleted */
  hash(rowId: bigint, stamp: bigint, values: Row | null): Uint8Array {
    writer.reset();
    writer.raw(this.#before);
    writer.int(rowId);
    writer.int(stamp);
    if (values === null) {
      writer.bool(true);
      writer.array(0);
      writer.array(0);
    } else {
      writer.raw(this.#columns);
      for (let i = 0; i < values.length; i++) writer.datum(values[i]!);
    }
    return this.#crypto.sha256(writer.view());
  }
}
