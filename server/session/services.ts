// What a session needs of its node; server/node.ts puts it together. Types only.

import type { Consensus } from '../../consensus/consensus.ts';
import type { Keyring } from '../../identity/keyring.ts';
import type { Catalog, Role } from '../../ledger/catalog.ts';
import type { Analyst } from '../../sql/analyst/analyst.ts';
import type { ShardFile } from '../../storage/state-files.ts';
import type { ClusterStatus } from '../cluster-status.ts';
import type { Evidence } from '../evidence.ts';
import type { Gateway, RoleSigner } from '../gateway.ts';
import type { Governor } from '../governance/governor.ts';
import type { Inline } from '../inline.ts';
import type { LockTable } from '../lock-table.ts';
import type { ReaderPool } from '../readers/reader-pool.ts';
import type { Sequences } from '../sequences.ts';
import type { Retypings } from '../../storage/retyped.ts';
import type { SessionContext } from './context.ts';
import type { Planner } from './planner.ts';

export interface NodeServices {
  readonly database: string;
  readonly chainId: Uint8Array;
  /** The newest catalog on the chain. */
  catalog(): Catalog;
  /** Resolves when `catalog()` is that of the files. */
  catalogSettled(): Promise<void>;
  /** Columns whose type has changed, for reading the past. */
  retypings(): Retypings;
  /** Stamp of the last position of the newest applied block. */
  appliedStamp(): bigint;
  /** Stamp that `SET ledger.as_of` means: a height or a timestamp. */
  stampOfText(text: string, session: SessionContext): bigint;
  /** The catalog as it was after the transaction of `stamp`. */
  catalogAt(stamp: bigint): Catalog;
  readonly analyst: Analyst;
  readonly planner: Planner;
  readonly gateway: Gateway;
  readonly locks: LockTable;
  readonly readers: ReaderPool;
  readonly inline: Inline;
  readonly sequences: Sequences;
  readonly keyring: Keyring;
  /** Digests, proofs and receipts. */
  readonly evidence: Evidence;
  /** Changes the rules of the consensus. */
  readonly governor: Governor;
  /** Signs for a role. @throws SqlError 28000 when this node does not host its key */
  signerOf(role: number): RoleSigner;
  /** Makes sure that the newest results are covered by a block header. */
  prove(): Promise<void>;
  /** Resolves when other nodes have got the same results of a block that this one has executed. */
  agreed: Consensus['agreed'];
  /** Resolves when this node, its catalog too, has everything that was confirmed anywhere before the call. */
  caughtUp: Consensus['caughtUp'];
  /** Whether this node has no part in the ledger: it can be read, and refuses writes with 25006. */
  isReadOnly(): boolean;
  /** Called before a statement runs. @throws SqlError 57P03 while the node must not answer */
  admit(): void;
  /** Makes a chunk of operations durable before the transaction that names it; returns its hash. */
  putChunk(bytes: Uint8Array): Promise<Uint8Array>;
  /** Takes back chunks that no transaction will name: each as often as it was put. */
  dropChunks(hashes: readonly Uint8Array[]): Promise<void>;
  /** The outcome of the transaction that names these is known: its session needs them no more, each as often as it was put. */
  settleChunks(hashes: readonly Uint8Array[]): void;
  /** What this node knows of the cluster now. */
  status(): ClusterStatus;
  /** What the views cannot see of the files of the state, by number of the shard. */
  shardFiles(): readonly ShardFile[];
  /** Microseconds since 2000-01-01. */
  nowMicros(): bigint;
  /** Role that a session has logged in as; null when there is no such session. */
  roleOf(processId: number): Role | null;
  /** Rows of pg_stat_activity, as a role may see them. */
  activity(role: string): object[];
  /** pg_cancel_backend; false when there is no such session. */
  cancelSession(processId: number): boolean;
  /** pg_terminate_backend. */
  terminate(processId: number): boolean;
}
