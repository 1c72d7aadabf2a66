// Limits of what peers can make a node hold, each with its unit. Pure.

export const CONSENSUS_LIMITS = {
  /** A message: a block of full size with its certificates. */
  messageBytesMax: 2_097_152,

  /** Unconfirmed blocks held: a window of several terms, and siblings that prove a fraud. */
  candidatesMax: 192,

  /** Proposals of one leader for one height that are held: two are a proof. */
  siblingsMax: 2,

  /** Votes held of each member: a window of acknowledgements and commits, and those of a later term. */
  votesPerMemberMax: 256,

  /** Certificates held whose blocks are not here yet. */
  waitingCertificatesMax: 16,

  /** Blocks of one answer to a node that is behind: more than a window, so that one of them is certified. */
  syncBlocksMax: 128,
  /** Encoded blocks of one answer, in bytes, after the first. */
  syncBytesMax: 1_048_576,

  /** Confirmed blocks not yet executed beyond which a node that is behind asks for no more. */
  unexecutedBlocksMax: 256,

  /** Terms ahead of its own for which a leader to be keeps reports. */
  reportTermsMax: 8,

  /** Proven frauds held, and encoded evidence in bytes. */
  evidenceMax: 64,
  evidenceBytesMax: 262_144,

  /** Encoded new rules with their approvals: 256 members and as many observers, all with long addresses, fit. */
  rulesBytesMax: 262_144,

  /** Reads waiting for one probe. */
  readsMax: 65_536,

  /** Clients whose complaints are counted in one term. */
  complaintsMax: 1_024,

  /** Encoded bundles held of one peer, in bytes. */
  poolBytesPerPeerMax: 33_554_432,

  /** Bundles confirmed a short while ago that are remembered: twice as many, with the set before. */
  confirmedBundlesMax: 16_384,

  /** Results of blocks remembered, for peers that ask; and heights that a peer has asked about too early. */
  resultsMax: 1_024,
  resultsAskedMax: 256,

  /** Signatures remembered as valid: twice as many, as above. */
  verifiedMax: 8_192,
} as const;
