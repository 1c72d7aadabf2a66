// Tables of the state shards and of the block index that are not made by the catalog. Pure.
//
// Everything in these files can be rebuilt from the blocks. All of it is versioned by stamp or height, so a
// shard that is ahead of the others after a power loss can be taken back.

/**
 * In every shard. `_table` says, for each table placed here, the next row id and the last stamp written; its
 * newest `height`, of the block that wrote to it last, counts; older ones are kept until all shards are on disk.
 */
const SHARD_TABLES = `
  CREATE TABLE _meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE _table (relation INTEGER, height INTEGER, next_row INTEGER, written INTEGER,
    PRIMARY KEY (relation, height)) WITHOUT ROWID;
`;

/**
 * In shard 0 only. Sequences keep every state they had; the newest `_from` counts. `_idempotency` has
 * the keys that a block has taken, as storage/idempotency.ts writes them, and forgets them some time after all of them
 * have expired. A receipt's `sqlstate` is NULL when it has committed; `leaves` are its row version hashes.
 */
const CHAIN_TABLES = `
  CREATE TABLE _catalog (version INTEGER PRIMARY KEY, stamp INTEGER, changes BLOB);
  CREATE TABLE _sequence (id INTEGER, _from INTEGER, last INTEGER, called INTEGER,
    PRIMARY KEY (id, _from)) WITHOUT ROWID;
  CREATE TABLE _receipt (stamp INTEGER PRIMARY KEY, author INTEGER, sqlstate TEXT, receipt BLOB,
    leaves BLOB);
  CREATE TABLE _idempotency (height INTEGER PRIMARY KEY, until INTEGER, keys BLOB);
`;

/**
 * `chain/index.sqlite`: where blocks and transactions are found. `frontier` is the history tree over the
 * headers before the newest one. Ids are random, and each would touch a page of their index: their first 8
 * bytes are sorted into `transaction_id` many at a time, and `sorted` says up to which height they are.
 */
const INDEX_TABLES = `
  CREATE TABLE block (height INTEGER PRIMARY KEY, hash BLOB, time_ms INTEGER, transactions INTEGER,
    header BLOB);
  CREATE TABLE transaction_id (prefix BLOB, stamp INTEGER, PRIMARY KEY (prefix, stamp)) WITHOUT ROWID;
  CREATE TABLE sorted (one INTEGER PRIMARY KEY, height INTEGER);
  INSERT INTO sorted VALUES (0, 0);
  CREATE TABLE frontier (one INTEGER PRIMARY KEY, size INTEGER, hashes BLOB);
`;

/**
 * Of the tables above, kept as `user_version` of each file. Files of another layout are thrown away and made
 * again from the blocks.
 */
export const LAYOUT = 3;

/** SQL for the transaction id in an encoded receipt, whose first field it is (docs/formats/receipt.md). */
export function idInReceipt(receipt: string): string {
  return `substr(${receipt}, 4, 32)`;
}

/** Statements that make the tables of a shard in the file attached as `schema`. */
export function shardTables(shard: number, schema: string): string {
  return withLayout(shard === 0 ? SHARD_TABLES + CHAIN_TABLES : SHARD_TABLES, schema);
}

/** Statements that make the block index in the file attached as `schema`. */
export function indexTables(schema: string): string {
  return withLayout(INDEX_TABLES, schema);
}

function withLayout(tables: string, schema: string): string {
  return `${qualified(tables, schema)} PRAGMA ${schema}.user_version = ${LAYOUT};`;
}

function qualified(tables: string, schema: string): string {
  return tables.replace(/(CREATE TABLE|CREATE INDEX|INSERT INTO) /g, `$1 ${schema}.`);
}
