// After a restart, after the loss of the disk, and reads: how far may votes have gone? Pure.
//
// A member that has lost its records may have voted for what it does not know. It asks the others how far they
// have seen votes go, signs nothing, and takes part again from the first certificate that is beyond all of
// that: whatever it has signed lies below. As long as it is recovering it answers nobody, so that two that
// have forgotten do not reassure one another.
//
// A linearizable read asks the same question: whatever was confirmed before it, an honest member among any r
// has helped to confirm, and has said so with its floor. So it is enough that the floors of some r members are
// reached; a liar can claim what it likes as long as r honest ones answer. Each probe has a nonce of its own.

import { keyOf } from './block-tree.ts';
import { isHigher } from './context.ts';
import type { DurableState } from './durable.ts';
import type { Message } from './message.ts';
import type { Floor, Probe, State } from './state.ts';

/** After so long, in ms, members that have not answered a read are asked again: the question may be lost. */
const READ_PATIENCE_MS = 100;

/** Takes up the vote state of before a crash. @returns false when it does not fit the chain: it was lost */
export function restoreState(s: State, state: DurableState): boolean {
  if (state.epoch < s.config.epoch) {
    s.recovering = state.recovering;
    return true;
  }
  if (state.epoch > s.config.epoch) return false;
  const { term, led, lastAck, wantBft, recovering } = state;
  s.term = Math.max(s.term, term);
  s.recordedTerm = term;
  Object.assign(s, { led, lastAck, wantBft: wantBft || s.wantBft, recovering });
  const { highest } = state;
  const linked = s.tree.isLinked(keyOf(highest.hash));
  if (linked || highest.height <= s.root.height) {
    if (isHigher(highest, s.highest)) s.highest = highest;
  } else {
    return false;
  }
  const tail = state.tail === null ? null : keyOf(state.tail);
  if (tail !== null && s.tree.get(tail) !== undefined && s.tree.isLinked(tail)) s.tail = tail;
  return true;
}

export function beginAmnesia(s: State): void {
  s.recovering = true;
  s.amnesia = newProbe(s);
  // Another crash must not make this a member that has never run.
  s.persist();
  if (s.self >= 0 && s.quorums.n === 1) {
    s.alarm(
      'amnesia',
      'this node is the only member and has lost its records of votes: nobody can say what it has signed, so it signs nothing. ' +
        'Stop it, and put back a copy of its data directory, consensus/ too, that was made when it did not run',
    );
  }
  s.broadcast({ kind: 'probe', nonce: s.amnesia.nonce });
}

function newProbe(s: State): Probe {
  s.nonce += 1;
  return { nonce: s.nonce, floors: new Map(), reads: [], askedMs: s.times.now };
}

/** The highest block that this member may have helped to confirm. */
function floorOf(s: State): Floor {
  const tail = s.tail === null ? 0 : s.tree.get(s.tail)!.height;
  const height = Math.max(s.root.height, s.highest.height, tail, s.lastAck?.height ?? 0);
  return { epoch: s.config.epoch, term: s.term, height };
}

export function onProbe(s: State, from: Uint8Array, nonce: number): void {
  if (s.recovering || s.self < 0) return;
  s.send(from, { kind: 'floor', nonce, ...floorOf(s) });
}

export function onFloor(
  s: State,
  member: number,
  message: Extract<Message, { kind: 'floor' }>,
): void {
  if (member < 0) return;
  const { nonce, epoch, term, height } = message;
  for (const probe of [s.amnesia, s.probe]) {
    // The first answer covers what was before the question; later ones only rise with the ledger.
    if (probe?.nonce === nonce && !probe.floors.has(member)) {
      probe.floors.set(member, { epoch, term, height });
    }
  }
  if (s.recovering) leaveAmnesia(s);
}

/** Takes part again if the highest certificate is beyond everything that may have been forgotten. */
export function leaveAmnesia(s: State): void {
  const { n, f, report } = s.quorums;
  const floors = [...(s.amnesia?.floors.values() ?? [])];
  // So many others that every quorum this member was part of has an honest one among them.
  if (s.self < 0 || floors.length < n - report + f + 1) return;
  const { epoch, term, mode, height, hash } = s.highest;
  if (s.highest.signatures.length === 0) return;
  const laterTerm =
    term > 0 &&
    floors.every((floor) => floor.epoch < epoch || (floor.epoch === epoch && floor.term < term));
  const higher = floors.every(
    (floor) =>
      (floor.epoch < epoch || (floor.epoch === epoch && floor.term <= term)) &&
      height > floor.height + s.config.window,
  );
  if (!laterTerm && !higher) return;
  s.recovering = false;
  s.amnesia = null;
  s.term = Math.max(s.term, term);
  s.led = s.term;
  s.leads = false;
  s.lastAck = { term, mode, height, hash };
  s.tail = null;
  s.persist();
}

export function onRead(s: State, id: number): void {
  s.nextReads.push(id);
  if (s.probe === null) startProbe(s);
}

function startProbe(s: State): void {
  const probe = newProbe(s);
  probe.reads.push(...s.nextReads.splice(0));
  s.probe = probe;
  if (s.self >= 0 && !s.recovering) probe.floors.set(s.self, floorOf(s));
  s.broadcast({ kind: 'probe', nonce: probe.nonce });
}

/** Members have changed: the old ones' floors say nothing about what the new ones confirm. */
export function probeAgain(s: State): void {
  if (s.probe === null) return;
  s.nextReads.unshift(...s.probe.reads);
  startProbe(s);
}

/** Serves the reads whose answer is known, and asks for those that came since. */
export function serveReads(s: State): void {
  const { probe } = s;
  if (probe === null) return;
  const reached = [...probe.floors.values()].filter((floor) => isReached(s, floor));
  if (reached.length < s.quorums.report) return;
  for (const id of probe.reads) {
    s.effects.push({ kind: 'readReady', id, height: s.root.height, after: s.token });
  }
  s.probe = null;
  if (s.nextReads.length > 0) startProbe(s);
}

/** Whether everything that a member may have helped to confirm is confirmed here, or never will be. */
function isReached({ config, root, confirming }: State, { epoch, term, height }: Floor): boolean {
  if (epoch > config.epoch) return false;
  if (height <= root.height) return true;
  return confirming !== null && (epoch < config.epoch || term < confirming.term);
}

/** On a tick: asks again what nobody has answered. */
export function retryProbes(s: State): void {
  if (s.recovering && s.amnesia === null) beginAmnesia(s);
  else if (s.amnesia !== null) s.broadcast({ kind: 'probe', nonce: s.amnesia.nonce });
}

export function retryReads(s: State): void {
  const { probe } = s;
  if (probe === null || s.times.now - probe.askedMs < READ_PATIENCE_MS) return;
  probe.askedMs = s.times.now;
  s.config.members.forEach(({ publicKey }, member) => {
    if (member === s.self || probe.floors.has(member)) return;
    s.send(publicKey, { kind: 'probe', nonce: probe.nonce });
  });
}
