// How many members must have said something. Pure, browser-safe.
//
// n members, of which at most f lie (any others may be silent). With f = 0 these are the majorities of crash
// tolerance: fraud is seen and proven, not prevented.
//
// (1) Two quorums of `report` members share f+1 of them, so one honest one: 2r - n ≥ f + 1.
// (2) A block confirmed by `fast` acknowledgements alone outlives a change of term although the leader lied:
//     q + r - n ≥ f + 1, and `keepForked` below. One less would be unsafe (tests/unit/ledger/quorum.test.ts
//     enumerates all splits).

export interface Quorums {
  /** Members, and those that may lie. */
  readonly n: number;
  readonly f: number;
  /** r: reports of a new term, acknowledgements of a quorum certificate, commits. */
  readonly report: number;
  /** q: acknowledgements that confirm a block of raft mode in one round trip. */
  readonly fast: number;
  /** t: silent members with which raft mode still confirms. */
  readonly silent: number;
  /** j: wishes for a later term that make a member wish so too; one of them is honest. */
  readonly join: number;
  /** Reports that must hold a block above the highest certificate for it to be kept in a new term. */
  readonly keep: number;
  /** The same where the reports show that the old leader proposed two blocks at one height. */
  readonly keepForked: number;
}

/** The greatest f that n members allow. */
export function faultsMax(n: number): number {
  return Math.floor((n - 1) / 3);
}

/** @param n members, at least 1; @param f from 0 to `faultsMax(n)` */
export function quorums(n: number, f: number): Quorums {
  const report = f > 0 ? n - f : Math.floor(n / 2) + 1;
  const fast = f > 0 ? Math.max(report, Math.floor((n + 3 * f) / 2)) : report;
  return {
    n,
    f,
    report,
    fast,
    silent: n - fast,
    join: Math.max(1, report - f),
    keep: Math.max(1, fast + report - n - f),
    keepForked: fast + report + 1 - f - n,
  };
}
