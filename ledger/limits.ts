// Limits of the formats, each with its unit. Pure.
//
// They are part of the chain's rules: what exceeds one is refused by every node alike, so none may change
// without a new format version.

/** Encoded body of a block: what a node must take in one piece. Bigger transactions travel as chunks. */
export const BODY_BYTES_MAX = 1_048_576;

/** Transactions of a block; far below the 65,536 positions that a stamp can name. */
export const BLOCK_TRANSACTIONS_MAX = 2_000;

/** Encoded transaction, its parts included: it must fit into a body with its bundle. */
export const TRANSACTION_BYTES_MAX = BODY_BYTES_MAX - 1_024;

/** Where an encoder should cut a chunk; one row may make a chunk bigger. */
export const CHUNK_BYTES_TARGET = 1_048_576;

/** Encoded chunk: room for one very big row, and still one allocation. */
export const CHUNK_BYTES_MAX = 67_108_864;

/** Chunks of one transaction; with the target above, 64 GiB. */
export const CHUNKS_MAX = 65_536;

/** Statement text kept with a transaction, in bytes; the edge cuts longer ones. */
export const TEXT_PART_BYTES_MAX = 65_536;

/** Depth of an expression: bounds the evaluator's recursion. */
export const EXPRESSION_DEPTH_MAX = 128;

/** Columns of a table, as in Postgres. */
export const COLUMNS_MAX = 1_600;

/** Columns of an index or a key, as in Postgres. */
export const INDEX_KEYS_MAX = 32;

/** Names, in bytes, as in Postgres (NAMEDATALEN - 1). */
export const NAME_BYTES_MAX = 63;

/** Message, detail or hint of an abort, in bytes. */
export const MESSAGE_BYTES_MAX = 65_536;

/** Member nodes of a chain, and signatures of a certificate. */
export const NODES_MAX = 256;

/** State shards of a chain. */
export const STATE_SHARDS_MAX = 1_024;

/** Hashes of a Merkle path: enough for 2^53 leaves. */
export const PATH_HASHES_MAX = 64;

/** Hashes of a consistency path: at most one for each level on either side. */
export const CONSISTENCY_HASHES_MAX = 2 * PATH_HASHES_MAX;

/** A proof bundle as JSON, in characters: two transactions of full size in base64, and room. */
export const PROOF_JSON_CHARACTERS_MAX = 16_777_216;

/** A checkpoint note, in characters. */
export const CHECKPOINT_CHARACTERS_MAX = 65_536;
