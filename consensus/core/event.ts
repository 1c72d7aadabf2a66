// What a replica reacts to, and what it asks of the shell. Pure types.
//
// Rules of the shell (docs/consensus.md):
//
// (1) Effects are carried out in the order in which they were given, over all steps. `persist` and `confirmed`
//     become durable in that order: a crash loses an end of them, never one in the middle.
// (2) A `send` or `readReady` waits until everything persisted up to its `after` is durable; after that the
//     shell says `persisted` with the greatest token that is.
// (3) A disk that fails ends the process. Nothing is retried.

import type { Block, Header } from '../../ledger/block.ts';
import type { EpochConfig, Rules } from '../../ledger/epoch.ts';
import type { Bundle } from '../../ledger/transaction.ts';
import type { SignedBlock } from './message.ts';

export type ReplicaEvent =
  /** Time has passed; `nowMs` is monotonic, its origin means nothing. Several times a heartbeat. */
  | { readonly kind: 'tick'; readonly nowMs: number }
  /** An encoded message of the node with this public key. */
  | { readonly kind: 'receive'; readonly from: Uint8Array; readonly bytes: Uint8Array }
  /** Everything persisted up to this token is durable. */
  | { readonly kind: 'persisted'; readonly token: number }
  /** Content of the next block; the leader's answer to `wantBlock`. `timeMs` is since 1970. */
  | {
      readonly kind: 'propose';
      readonly timeMs: number;
      readonly bundles: readonly Bundle[];
      readonly transactionsRoot: Uint8Array;
      readonly transactionCount: number;
    }
  /** A confirmed block was executed; heights in order. */
  | { readonly kind: 'executed'; readonly height: number; readonly receiptsRoot: Uint8Array }
  /** What `validate` has waited for is here. */
  | { readonly kind: 'available' }
  /** Whether this node knows of anything that ought to be confirmed: the leader is watched only then. */
  | { readonly kind: 'demand'; readonly waiting: boolean }
  /** A registered client complains about the leader of this term; the shell has checked its signature. */
  | { readonly kind: 'complaint'; readonly client: Uint8Array; readonly term: number }
  /** An administrator's new rules, signed. */
  | {
      readonly kind: 'rules';
      readonly rules: Rules;
      readonly approvals: readonly { readonly key: Uint8Array; readonly signature: Uint8Array }[];
    }
  /** Wants to know when a read sees everything that was confirmed before this event. */
  | { readonly kind: 'read'; readonly id: number };

export type AlarmKind =
  /** Confirmed blocks contradict one another: more members than f have lied. The node must stop. */
  | 'fork'
  /** The proposer's results differ from this node's. */
  | 'divergence'
  | 'fraud'
  /** A block of solo that its node has signed breaks the rules: a node that is behind gets no further. */
  | 'invalid'
  | 'amnesia';

export type Effect =
  /** `to` null: every member and observer but this node. */
  | {
      readonly kind: 'send';
      readonly to: Uint8Array | null;
      readonly bytes: Uint8Array;
      readonly after: number;
    }
  | { readonly kind: 'persist'; readonly token: number; readonly records: readonly Uint8Array[] }
  /** In order of height, each once. The certificate may name a later block. */
  | {
      readonly kind: 'confirmed';
      readonly block: Block;
      readonly hash: Uint8Array;
      readonly signed: SignedBlock;
    }
  /** The configuration after the block confirmed just before: whom to connect to. */
  | { readonly kind: 'epochChanged'; readonly config: EpochConfig }
  /**
   * This node leads and has room for a block above `parent`. `urgent`: propose at once, even an empty one, since
   * members have something to record.
   */
  | { readonly kind: 'wantBlock'; readonly parent: Header; readonly urgent: boolean }
  /** The content given last is in this block; without this effect it was not taken. */
  | { readonly kind: 'proposed'; readonly header: Header; readonly hash: Uint8Array }
  /** A node wants blocks from this height on: send it `blocks` messages from storage. */
  | { readonly kind: 'serve'; readonly to: Uint8Array; readonly height: number }
  | {
      readonly kind: 'readReady';
      readonly id: number;
      readonly height: number;
      readonly after: number;
    }
  | { readonly kind: 'alarm'; readonly alarm: AlarmKind; readonly message: string };
