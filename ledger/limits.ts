// Limits of the formats, each with its unit. Pure.
//
// They are part of the chain's rules: what exceeds one is refused by every node alike, so none may change
// without a new format version.

export const LIMITS = {
  /** Encoded body of a block: what a node must take in one piece. Bigger transactions travel as chunks. */
  blockBodyBytesMax: 1_048_576,

  /** Transactions of a block; far below the 65,536 positions that a stamp can name. */
  blockTransactionsMax: 2_000,

  /** Encoded transaction with its parts; leaves room in a body for the bundle around it. */
  transactionBytesMax: 1_048_576 - 1_024,

  /** Where an encoder should cut a chunk; one row may make a chunk bigger. */
  chunkBytesTarget: 1_048_576,

  /** Encoded chunk: room for one very big row, and still one allocation. */
  chunkBytesMax: 67_108_864,

  /** Chunks of one transaction. Their hashes must fit into it: with the target above, 24 GiB. */
  chunksMax: 24_576,

  /** Statement text kept with a transaction, UTF-8; the edge cuts longer ones. */
  textPartBytesMax: 65_536,

  /** Depth of an expression: bounds the evaluator's recursion. */
  expressionDepthMax: 128,

  /** Columns of a table, as in Postgres. */
  columnsMax: 1_600,

  /** Columns of an index or a key, as in Postgres. */
  indexKeysMax: 32,

  /** Names, in bytes, as in Postgres (NAMEDATALEN - 1). */
  nameBytesMax: 63,

  /** Message, detail or hint of an abort, in bytes. */
  messageBytesMax: 65_536,

  /** Member nodes of a chain, and signatures of a certificate. */
  nodesMax: 256,

  /** Address of a member, in bytes. */
  addressBytesMax: 256,

  /** Blocks above the newest confirmed one that a configuration may allow. */
  windowMax: 64,

  /** System records of a block. */
  systemRecordsMax: 64,

  /** Statements of members in one system record, and an encoded one in bytes. */
  statementsMax: 1_024,
  statementBytesMax: 512,

  /** Encoded evidence of a fraud: two reports of a new term with all their certificates fit. */
  evidenceBytesMax: 262_144,

  /** Blocks that one certificate may confirm, with the one it names: a node that was behind confirms many at once. */
  certificateSpanMax: 64,

  /** State shards of a chain. */
  stateShardsMax: 1_024,

  /** Hashes of a Merkle path: enough for 2^53 leaves. */
  pathHashesMax: 64,

  /** A proof bundle as JSON, in characters: some transactions of full size in base64. */
  proofJsonCharactersMax: 16_777_216,

  /** A checkpoint note, in characters. */
  checkpointCharactersMax: 65_536,
} as const;
