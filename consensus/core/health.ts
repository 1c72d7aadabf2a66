// What members say of themselves: signed, at common heights, and compared with what is confirmed. Pure.
//
// (1) A member signs that it has a block and its result when both are confirmed and its own are the same. So one whose
//     disk or processor has failed says nothing, and an alarm; nobody that follows the protocol contradicts the chain.
// (2) A statement that does contradict it is a proof (evidence.ts), whoever holds it: what is confirmed goes with it.
// (3) Statements of all members for one height allow the return to raft mode (system-check.ts).

import { equal } from '../../ledger/bytes.ts';
import type { CertificateContext } from '../../ledger/certificate-check.ts';
import type { VoteCertificate } from '../../ledger/vote.ts';
import type { Candidate } from './block-tree.ts';
import { encodeUnsignedHealth } from './codec.ts';
import { isSaid, signStatement } from './context.ts';
import type { Health } from './message.ts';
import type { State } from './state.ts';

/** Health is signed at heights that are multiples of this. */
const HEALTH_EVERY_BLOCKS = 8;
/** Such heights remembered; of a node that lags further nothing is said about those it has not executed. */
const HEALTH_MARKS_MAX = 8;

/** Headers, each the next one's parent, of which the last is confirmed, and the first with it. */
export interface ConfirmedHeader {
  readonly headers: readonly Uint8Array[];
  readonly certificate: VoteCertificate;
}

/** A confirmed height about which members say what they have. */
export interface Mark {
  readonly height: number;
  readonly hash: Uint8Array;
  readonly block: ConfirmedHeader;
  /** The header that carries the result of the block, and that result; null while none is confirmed. */
  result: { readonly receiptsRoot: Uint8Array; readonly header: ConfirmedHeader } | null;
  /** What this node has got; null until it has executed the block. */
  own: Uint8Array | null;
}

/** Of blocks confirmed just now, ascending, the last by the certificate. */
export function markConfirmed(
  s: State,
  path: readonly Candidate[],
  certificate: VoteCertificate,
): void {
  path.forEach(({ header, height, hash }, at) => {
    const { executed } = header;
    const isResult = s.marks.find(
      (mark) => mark.height === executed.height && mark.result === null,
    );
    if (isResult === undefined && height % HEALTH_EVERY_BLOCKS !== 0) return;
    const headers = path.slice(at).map(({ signed }) => signed.header);
    const confirmed = { headers, certificate };
    if (isResult !== undefined) {
      isResult.result = { receiptsRoot: executed.receiptsRoot, header: confirmed };
      compareAll(s, isResult);
    }
    if (height % HEALTH_EVERY_BLOCKS !== 0) return;
    const mark = { height, hash, block: confirmed, result: null, own: null };
    s.marks.push(mark);
    if (s.marks.length > HEALTH_MARKS_MAX) s.marks.shift();
    compareAll(s, mark);
  });
}

/** This node has executed a block. */
export function markExecuted(s: State, height: number, receiptsRoot: Uint8Array): void {
  const mark = s.marks.find((each) => each.height === height);
  if (mark === undefined) return;
  mark.own = receiptsRoot;
  sayHealth(s, mark);
}

function sayHealth(s: State, { height, hash, result, own }: Mark): void {
  if (result === null || own === null) return;
  if (!equal(own, result.receiptsRoot)) {
    s.alarm('divergence', `this node has other results of block ${height} than are confirmed`);
    return;
  }
  if (s.isMute) return;
  const unsigned = { epoch: s.config.epoch, member: s.self, height, hash, receiptsRoot: own };
  const signature = signStatement(s.context, 'health', encodeUnsignedHealth(unsigned));
  const health: Health = { ...unsigned, signature };
  s.health.set(s.self, health);
  s.broadcast({ kind: 'health', health });
}

export function isHealth(context: CertificateContext, health: Health): boolean {
  return isSaid(context, 'health', health, encodeUnsignedHealth(health));
}

/** Keeps the newest statement of each member. */
export function onHealth(s: State, health: Health): void {
  const known = s.health.get(health.member);
  if (known !== undefined && known.height >= health.height) return;
  if (!isHealth(s.context, health)) return;
  s.health.set(health.member, health);
  const mark = s.marks.find(({ height }) => height === health.height);
  if (mark !== undefined) compare(s, mark, health);
}

/** More is known of a height than before. */
function compareAll(s: State, mark: Mark): void {
  for (const health of s.health.values()) compare(s, mark, health);
  sayHealth(s, mark);
}

/** What a member says and what is confirmed. */
function compare(s: State, { height, hash, block, result }: Mark, health: Health): void {
  if (health.height !== height) return;
  if (!equal(health.hash, hash)) s.found.push({ kind: 'health', health, ...block });
  else if (result !== null && !equal(health.receiptsRoot, result.receiptsRoot))
    s.found.push({ kind: 'health', health, ...result.header });
}
