// What a replica must not forget. Pure types.
//
// Two kinds of records: the small state as a whole, of which the newest counts, and blocks it stands on. The
// shell keeps the newest state and every block above the end of its durable chain. The codec is in codec.ts.

import type { Mode, VoteCertificate } from '../../ledger/vote.ts';
import type { SignedBlock } from './message.ts';

/** The newest acknowledgement given. */
export interface LastVote {
  readonly term: number;
  readonly mode: Mode;
  readonly height: number;
  readonly hash: Uint8Array;
}

export type DurableRecord =
  | {
      readonly kind: 'state';
      readonly epoch: number;
      readonly term: number;
      /** The newest term in which this member has proposed or opened: never again after a restart. */
      readonly led: number | null;
      readonly highest: VoteCertificate;
      readonly lastAck: LastVote | null;
      /** End of what was acknowledged above `highest` in its term. */
      readonly tail: Uint8Array | null;
      readonly wantBft: boolean;
      /** The disk was lost before, and what was forgotten is not yet known to be past. */
      readonly recovering: boolean;
    }
  | { readonly kind: 'block'; readonly block: SignedBlock };

export type DurableState = Extract<DurableRecord, { kind: 'state' }>;
