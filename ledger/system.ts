// System records: what the members themselves put into a block. Pure types.
//
// They say who the members are, by which rules and in which mode they agree, and who was proven to lie. The
// proofs are opaque here: whoever votes for a block has checked them (consensus/core/evidence.ts), whoever
// reads the chain later has the certificate of those who did.
//
// A block with any of them is a barrier (ledger/epoch.ts).

import type { Rules } from './epoch.ts';
import type { Mode } from './vote.ts';

export type SystemRecord =
  /** A member was proven to have lied; `proof` is the encoded evidence. */
  | { readonly kind: 'evidence'; readonly accused: number; readonly proof: Uint8Array }
  /**
   * The next epoch is in this mode. To raft: `statements` are the signed health of all members. To bft:
   * empty beside enough evidence or in the first block of a term that changed the mode, else signed suspicions.
   */
  | { readonly kind: 'mode'; readonly mode: Mode; readonly statements: readonly Uint8Array[] }
  /** New rules, signed by keys of the governance of the epoch. */
  | {
      readonly kind: 'rules';
      readonly rules: Rules;
      readonly approvals: readonly { readonly key: Uint8Array; readonly signature: Uint8Array }[];
    };
