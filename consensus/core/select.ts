// Which block a new term takes over: a function of the reports of a quorum. Pure.
//
// The leader runs it to open a term, everyone else to check that it did. What was confirmed in any earlier term
// is an ancestor of what is selected (docs/consensus.md has the argument):
//
// - confirmed by commits: one honest reporter holds a certificate at least as high
// - confirmed by acknowledgements in raft mode: enough reports hold the block in their tail, and so many cannot
//   hold another one. Where the reports show two blocks of one leader at one height, that leader has lied: the
//   quorum must do without its report, which leaves one liar fewer among the others.

import type { Header } from '../../ledger/block.ts';
import { equal } from '../../ledger/bytes.ts';
import type { CertificateContext } from '../../ledger/certificate-check.ts';
import { decodeHeader } from '../../ledger/encoding.ts';
import { tryDecode } from '../../ledger/error.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { leaderOf, quorumsOf } from '../../ledger/epoch.ts';
import { headerHash } from '../../ledger/hash.ts';
import { verifyHeader } from '../../ledger/signing.ts';
import type { Mode, VoteCertificate } from '../../ledger/vote.ts';
import type { HashKey } from './block-tree.ts';
import { keyOf } from './block-tree.ts';
import { encodeUnsignedReport } from './codec.ts';
import { isCertified, isHigher, isSaid } from './context.ts';
import type { Report, SignedHeader } from './message.ts';

/** A header of a tail, opened. */
export interface TailBlock {
  readonly header: Header;
  readonly hash: Uint8Array;
  readonly key: HashKey;
  readonly signed: SignedHeader;
}

/** A report whose signature, certificate and tail are good. */
export interface OpenReport {
  readonly report: Report;
  readonly tail: readonly TailBlock[];
}

/** @returns the report opened, or null unless an honest member could have sent it */
export function openReport(
  context: CertificateContext,
  anchor: VoteCertificate,
  report: Report,
): OpenReport | null {
  const { epoch, term, highest, tail } = report;
  if (highest.epoch !== epoch || highest.term >= term) return null;
  if (tail.length > context.config.window || (tail.length > 0 && highest.mode !== 'raft'))
    return null;
  if (!isSaid(context, 'report', report, encodeUnsignedReport(report))) return null;
  if (!isCertified(context, highest, anchor)) return null;
  const opened = openTail(context, report);
  return opened === null ? null : { report, tail: opened };
}

/** Linked, strictly above the certificate, of its term in raft mode, each signed by that term's leader. */
function openTail(context: CertificateContext, { highest, tail }: Report): TailBlock[] | null {
  const { crypto, chainId, config } = context;
  const leader = config.members[leaderOf(config, highest.term)]!.publicKey;
  const opened: TailBlock[] = [];
  let parent: { readonly height: number; readonly hash: Uint8Array } = highest;
  for (const signed of tail) {
    const header = tryDecodeHeader(signed.header);
    if (header === null) return null;
    const fits =
      header.epoch === config.epoch &&
      header.term === highest.term &&
      header.mode === 'raft' &&
      header.height === parent.height + 1 &&
      equal(header.parent, parent.hash) &&
      equal(header.proposer, leader);
    if (!fits) return null;
    const hash = headerHash(crypto, signed.header);
    if (!verifyHeader(crypto, leader, signed.signature, chainId, hash)) return null;
    opened.push({ header, hash, key: keyOf(hash), signed });
    parent = { height: header.height, hash };
  }
  return opened;
}

export function tryDecodeHeader(encoded: Uint8Array): Header | null {
  return tryDecode(() => decodeHeader(encoded));
}

export interface Selection {
  readonly height: number;
  readonly hash: Uint8Array;
  readonly mode: Mode;
}

/** Reports from which nothing follows because the old leader, proven to lie, is among the reporters. */
export interface Excluded {
  readonly excluded: number;
}

/** @param reports  opened, of one term, of `report` distinct members */
export function select(config: EpochConfig, reports: readonly OpenReport[]): Selection | Excluded {
  const highest = highestOf(reports);
  const mode = modeOf(config, highest, reports);
  const { height, hash } = highest;
  if (highest.mode === 'bft') return { height, hash, mode };
  const tails = reports.map((report) => tailAbove(highest, report));
  const forked = hasFork(tails);
  const leader = leaderOf(config, highest.term);
  if (forked && reports.some(({ report }) => report.member === leader)) return { excluded: leader };
  const { keep, keepForked } = quorumsOf(config);
  return { ...longestKept(highest, tails, forked ? keepForked : keep), mode };
}

function highestOf(reports: readonly OpenReport[]): VoteCertificate {
  let { highest } = reports[0]!.report;
  for (const { report } of reports) {
    if (isHigher(report.highest, highest)) highest = report.highest;
  }
  return highest;
}

function modeOf(
  config: EpochConfig,
  highest: VoteCertificate,
  reports: readonly OpenReport[],
): Mode {
  if (config.policy === 'raft' || config.policy === 'bft') return config.policy;
  const wishes = reports.filter(({ report }) => report.wantBft).length;
  return highest.mode === 'bft' || wishes >= config.f + 1 ? 'bft' : 'raft';
}

/** What a report holds above the highest certificate, in its term; empty when its tail does not run through it. */
function tailAbove(highest: VoteCertificate, { report, tail }: OpenReport): readonly TailBlock[] {
  const own = report.highest;
  if (own.term !== highest.term) return [];
  if (equal(own.hash, highest.hash)) return tail;
  const at = tail.findIndex(({ hash }) => equal(hash, highest.hash));
  return at < 0 ? [] : tail.slice(at + 1);
}

function hasFork(tails: readonly (readonly TailBlock[])[]): boolean {
  const byHeight = new Map<number, HashKey>();
  for (const { header, key } of tails.flat()) {
    const known = byHeight.get(header.height);
    if (known !== undefined && known !== key) return true;
    byHeight.set(header.height, key);
  }
  return false;
}

/** The end of the chain above `from` of which every block is in at least `needed` tails. */
function longestKept(
  from: VoteCertificate,
  tails: readonly (readonly TailBlock[])[],
  needed: number,
): { readonly height: number; readonly hash: Uint8Array } {
  let end: { readonly height: number; readonly hash: Uint8Array } = from;
  for (let depth = 0; ; depth++) {
    const counts = new Map<HashKey, { block: TailBlock; count: number }>();
    for (const tail of tails) {
      const block = tail[depth];
      if (block === undefined || !equal(block.header.parent, end.hash)) continue;
      const entry = counts.get(block.key) ?? { block, count: 0 };
      entry.count += 1;
      counts.set(block.key, entry);
    }
    const kept = [...counts.values()].find(({ count }) => count >= needed);
    if (kept === undefined) return { height: end.height, hash: end.hash };
    end = { height: kept.block.header.height, hash: kept.block.hash };
  }
}
