// Blocks. Pure types and constants; the bytes are ledger/encoding.ts, the hashes ledger/hash.ts.
//
// (1) Roots are lagged: a header carries the receipts root of the newest block its proposer had executed
//     when it proposed. Nodes agree on order first and execute after.
// (2) Every header carries the root of the history tree (RFC 6962) over the hashes of all headers before it,
//     so any later signed header proves any earlier one.
// (3) Genesis is block 0: no parent, no signature of a proposer but its own, one bundle-less body that holds
//     the genesis record.
// (4) A header never changes: a later term that takes a block over votes for it anew (ledger/vote.ts).

import type { Member } from './epoch.ts';
import type { SystemRecord } from './system.ts';
import type { Bundle } from './transaction.ts';
import type { Certificate, Mode } from './vote.ts';

/** Version of every format of this directory; a file or message of another version is refused. */
export const FORMAT_VERSION = 2;

export interface Executed {
  /** Newest height executed before the proposal; 0 at the beginning. */
  readonly height: number;
  /** Merkle root over the receipts of that block, 32 bytes. */
  readonly receiptsRoot: Uint8Array;
}

export interface Header {
  readonly version: number;
  /** Hash of the genesis record, 32 bytes. */
  readonly chainId: Uint8Array;
  readonly height: number;
  /** Hash of the parent's header, 32 bytes; zeros at genesis. */
  readonly parent: Uint8Array;
  /** Milliseconds since 1970; never before the parent's. */
  readonly timeMs: number;
  /** Merkle root over the transaction ids in block order, 32 bytes. */
  readonly transactionsRoot: Uint8Array;
  readonly transactionCount: number;
  /** Hash of the body's bytes, 32 bytes: covers signatures and parts, which the ids do not. */
  readonly bodyHash: Uint8Array;
  readonly executed: Executed;
  /** Root of the history tree over the header hashes of heights 0 … height-1, 32 bytes. */
  readonly historyRoot: Uint8Array;
  /** Ed25519 public key of the proposing node, 32 bytes. */
  readonly proposer: Uint8Array;
  /** Where in the consensus it was proposed: 0, 0 and raft in solo. */
  readonly epoch: number;
  readonly term: number;
  readonly mode: Mode;
  /** Hash of what opened the term in its first block, 32 bytes; zeros in others, and in term 0. */
  readonly newTermHash: Uint8Array;
}

/** What a block is about, as it was hashed: transactions, and records of the members themselves. */
export interface Body {
  readonly bundles: readonly Bundle[];
  readonly system: readonly SystemRecord[];
}

export interface Block extends Body {
  readonly header: Header;
  readonly certificate: Certificate;
}

/** The first record of a chain; its hash is the chain id. */
export interface Genesis {
  readonly version: number;
  /** Name of the database that clients connect to. */
  readonly database: string;
  readonly createdMs: number;
  /** 32 random bytes, so that two chains made from the same keys differ. */
  readonly nonce: Uint8Array;
  /** The member nodes; the first makes block 0. */
  readonly nodes: readonly Member[];
  readonly consensus: 'solo' | 'raft' | 'bft' | 'adaptive';
  /** Number of state shards, 1 or more. */
  readonly stateShards: number;
  /** Changes that make the first catalog: the public schema and the admin roles. */
  readonly catalog: readonly import('./catalog.ts').CatalogChange[];
}
