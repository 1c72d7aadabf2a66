// Members that are no help, said by others under their signatures: reason enough for bft mode when so many say so. Pure.
//
// (1) A suspicion proves nothing. One honest member shares it when f + 1 members do.
// (2) Whether so many are suspected is judged by the statements alone, so all say the same of a block that holds them.
// (3) They are said before a member wishes for bft mode by itself (timers.ts): a leader that is there changes the mode with
//     a block, and keeps leading.

import type { CertificateContext } from '../../ledger/certificate-check.ts';
import { tryDecode } from '../../ledger/error.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { decodeSuspicion, encodeSuspicion, encodeUnsignedSuspicion } from './codec.ts';
import { STATEMENT_AGE_BLOCKS, isSaid, signStatement } from './context.ts';
import type { Suspicion } from './message.ts';
import type { State } from './state.ts';

/** Election timeouts after which a silent member is suspected. */
const SUSPECTED_TIMEOUTS = 6;
/** Blocks after which a suspicion that is still held is signed anew. */
const RENEWED_BLOCKS = STATEMENT_AGE_BLOCKS / 2;

/** Milliseconds since a member was heard last, or since it can be expected. */
export function silentMs(s: State, member: number): number {
  const heard = s.times.heard.get(member);
  // Nodes that come up together do not do so at the same moment.
  const since = heard ?? s.times.started + s.config.timers.timeoutMaxMs;
  return s.times.now - Math.max(since, s.times.opened);
}

function reasonAgainst(s: State, peer: number): Suspicion['reason'] | null {
  if (silentMs(s, peer) > s.config.timers.electionMs * SUSPECTED_TIMEOUTS) return 'silent';
  const own = s.health.get(s.self)?.height ?? s.config.start;
  const said = s.health.get(peer)?.height ?? s.config.start;
  return own - said > STATEMENT_AGE_BLOCKS ? 'unwell' : null;
}

/** Says who is suspected, again and again; whoever is not any more is not named any more. */
export function saySuspicions(s: State): void {
  const { config, root, self } = s;
  if (s.isMute || config.policy !== 'adaptive' || config.mode === 'bft') return;
  const own = ofMember(s, self);
  for (const peer of config.members.keys()) {
    const reason = peer === self ? null : reasonAgainst(s, peer);
    const known = own.get(peer);
    if (reason === null) {
      own.delete(peer);
      continue;
    }
    const holds = known?.reason === reason && root.height - known.height < RENEWED_BLOCKS;
    const suspicion = holds ? known : signed(s, peer, reason);
    own.set(peer, suspicion);
    s.broadcast({ kind: 'suspicion', suspicion });
  }
}

function signed(s: State, peer: number, reason: Suspicion['reason']): Suspicion {
  const { height } = s.root;
  const unsigned = { epoch: s.config.epoch, member: s.self, peer, reason, height };
  const signature = signStatement(s.context, 'suspicion', encodeUnsignedSuspicion(unsigned));
  return { ...unsigned, signature };
}

function ofMember(s: State, member: number): Map<number, Suspicion> {
  let said = s.suspicions.get(member);
  if (said === undefined) s.suspicions.set(member, (said = new Map()));
  return said;
}

function isSuspicion(context: CertificateContext, suspicion: Suspicion): boolean {
  const { member, peer } = suspicion;
  if (peer >= context.config.members.length || member === peer) return false;
  return isSaid(context, 'suspicion', suspicion, encodeUnsignedSuspicion(suspicion));
}

/** Keeps the newest of each member against each other. */
export function onSuspicion(s: State, suspicion: Suspicion): void {
  const { member, peer, height } = suspicion;
  const known = s.suspicions.get(member)?.get(peer);
  if (member === s.self || (known !== undefined && known.height >= height)) return;
  if (isSuspicion(s.context, suspicion)) ofMember(s, member).set(peer, suspicion);
}

function isFresh(suspicion: Suspicion, height: number): boolean {
  return suspicion.height <= height && suspicion.height >= height - STATEMENT_AGE_BLOCKS;
}

/** Whether more members than the rules bear are each suspected by f + 1. @param height  of the block that says so */
export function areSuspected(
  context: CertificateContext,
  height: number,
  statements: readonly Uint8Array[],
): boolean {
  const { f, thresholds } = context.config;
  const accusers = new Map<number, Set<number>>();
  for (const bytes of statements) {
    const suspicion = tryDecode(() => decodeSuspicion(bytes));
    if (suspicion === null || !isFresh(suspicion, height)) return false;
    if (!isSuspicion(context, suspicion)) return false;
    const { peer, member } = suspicion;
    accusers.set(peer, (accusers.get(peer) ?? new Set()).add(member));
  }
  const suspected = [...accusers.values()].filter(({ size }) => size >= f + 1);
  return suspected.length > thresholds.faults;
}

/** Statements for a block at this height, against members that this node suspects too; empty when they are not enough. */
export function suspicionsFor(s: State, height: number): Uint8Array[] {
  const { f, thresholds } = s.config;
  const own = s.suspicions.get(s.self);
  if (own === undefined || own.size <= thresholds.faults) return [];
  const enough = [...own.keys()]
    .map((peer) => against(s, peer, height))
    .filter(({ length }) => length > f)
    .slice(0, thresholds.faults + 1);
  const statements = enough.flatMap((said) => said.slice(0, f + 1).map(encodeSuspicion));
  const fits = statements.length <= LIMITS.statementsMax;
  return enough.length > thresholds.faults && fits ? statements : [];
}

function against(s: State, peer: number, height: number): Suspicion[] {
  return [...s.suspicions.values()]
    .map((said) => said.get(peer))
    .filter((suspicion) => suspicion !== undefined)
    .filter((suspicion) => isFresh(suspicion, height));
}
