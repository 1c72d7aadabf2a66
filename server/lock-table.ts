// Row locks, table locks and advisory locks of one node. Pure: time-outs and cancels come from outside.
//
// Locks live at the edge only; they never reach the chain. They make sessions of this node wait for each
// other as in Postgres; conflicts between nodes end in 40001 when applied.
//
// (1) A lock is a key and a mode; holders of a key are mutually compatible.
// (2) Waiters are served in order of arrival. A holder that asks for more waits for other holders only.
// (3) A wait that would close a circle of waits is refused with 40P01 before it begins.

import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import { UnlockedWrites } from './unlocked-writes.ts';

/**
 * Row modes of Postgres, weakest first, and three for row programs. `program`: one whose result nobody has
 * seen; it waits for whoever has locked the row but not for other programs. `applying`: it is on its way to the
 * chain. `pin`: its own transaction has seen it, so that it must be the next; programs of others come after it,
 * but for those under way. Advisory, table and key locks use `share` and `update`.
 */
export type LockMode =
  'keyShare' | 'share' | 'program' | 'applying' | 'pin' | 'noKeyUpdate' | 'update';

const CONFLICTS: Readonly<Record<LockMode, readonly LockMode[]>> = {
  keyShare: ['update'],
  share: ['program', 'applying', 'pin', 'noKeyUpdate', 'update'],
  program: ['share', 'pin', 'noKeyUpdate', 'update'],
  applying: ['share', 'pin', 'noKeyUpdate', 'update'],
  pin: ['share', 'applying', 'pin', 'noKeyUpdate', 'update'],
  noKeyUpdate: ['share', 'program', 'applying', 'pin', 'noKeyUpdate', 'update'],
  update: ['keyShare', 'share', 'program', 'applying', 'pin', 'noKeyUpdate', 'update'],
};

const NONE: Readonly<Record<LockMode, number>> = {
  keyShare: 0,
  share: 0,
  program: 0,
  applying: 0,
  pin: 0,
  noKeyUpdate: 0,
  update: 0,
};

/** Whoever holds locks: a session. Compared by identity. */
export interface LockOwner {
  readonly processId: number;
}

type Waiter = {
  readonly owner: LockOwner;
  readonly mode: LockMode;
  readonly grant: () => void;
  readonly refuse: (error: SqlError) => void;
};

/** One acquisition, in the order in which its owner made them. */
type Acquisition = { readonly key: string; readonly mode: LockMode };

type Lock = {
  readonly holders: Map<LockOwner, LockMode[]>;
  /** Acquisitions of all holders, by mode. A table's lock has a holder for each session that writes to it. */
  readonly counts: Record<LockMode, number>;
  readonly waiters: Waiter[];
};

/** A wait in progress. */
export interface Wait {
  readonly granted: Promise<void>;
  /** Ends the wait with `error`; nothing happens when it is over. */
  cancel(error: SqlError): void;
}

export class LockTable {
  /** What is under way without locks. */
  readonly unlocked = new UnlockedWrites();
  readonly #locks = new Map<string, Lock>();
  readonly #held = new Map<LockOwner, Acquisition[]>();
  /** The one lock that an owner waits for. */
  readonly #waiting = new Map<LockOwner, { readonly lock: Lock; readonly waiter: Waiter }>();

  /** No lock is held by anyone: the common case, in which nobody needs to look further. */
  get empty(): boolean {
    return this.#locks.size === 0;
  }

  /** Whether `owner` has the lock already, in this mode or, if it has pinned the row, in any. */
  holds(owner: LockOwner, key: string, mode: LockMode): boolean {
    const modes = this.#locks.get(key)?.holders.get(owner);
    return modes !== undefined && (modes.includes(mode) || modes.includes('pin'));
  }

  /** How many acquisitions `owner` has made: a mark for `releaseSince`. */
  mark(owner: LockOwner): number {
    return this.#held.get(owner)?.length ?? 0;
  }

  /** Gives back what `owner` has acquired since `mark`, of those keys that `which` accepts. */
  releaseSince(owner: LockOwner, mark: number, which: (key: string) => boolean): void {
    const late = this.#held.get(owner)?.slice(mark) ?? [];
    for (const { key, mode } of late) if (which(key)) this.release(owner, key, mode);
  }

  /** Whether `owner` could take the lock now. */
  available(owner: LockOwner, key: string, mode: LockMode): boolean {
    const lock = this.#locks.get(key);
    return lock === undefined || (compatible(lock, owner, mode) && !queueAhead(lock, owner));
  }

  /** Takes the lock if that needs no wait. */
  tryAcquire(owner: LockOwner, key: string, mode: LockMode): boolean {
    if (!this.available(owner, key, mode)) return false;
    this.#grant(owner, key, mode);
    return true;
  }

  /**
   * Takes the lock, or waits for it.
   *
   * @returns null when the lock is held at once
   * @throws SqlError 40P01 when the wait would be a deadlock
   */
  acquire(owner: LockOwner, key: string, mode: LockMode): Wait | null {
    if (this.tryAcquire(owner, key, mode)) return null;
    const lock = this.#locks.get(key)!;
    const { promise: granted, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { owner, mode, grant: resolve, refuse: reject };
    if (this.#wouldDeadlock(lock, waiter)) throw deadlockError();
    lock.waiters.push(waiter);
    this.#waiting.set(owner, { lock, waiter });
    return {
      granted,
      cancel: (error) => {
        const index = lock.waiters.indexOf(waiter);
        if (index < 0) return;
        lock.waiters.splice(index, 1);
        this.#waiting.delete(owner);
        waiter.refuse(error);
        this.#wake(key, lock);
      },
    };
  }

  /** Gives back one acquisition of `key` in `mode`; false when it is not held. */
  release(owner: LockOwner, key: string, mode: LockMode): boolean {
    const lock = this.#locks.get(key);
    const modes = lock?.holders.get(owner);
    const index = modes?.lastIndexOf(mode) ?? -1;
    if (lock === undefined || modes === undefined || index < 0) return false;
    modes.splice(index, 1);
    lock.counts[mode] -= 1;
    if (modes.length === 0) lock.holders.delete(owner);
    const held = this.#held.get(owner)!;
    held.splice(
      held.findLastIndex((each) => each.key === key && each.mode === mode),
      1,
    );
    if (held.length === 0) this.#held.delete(owner);
    this.#wake(key, lock);
    return true;
  }

  /** Gives back every lock of `owner` whose key `which` accepts. */
  releaseAll(owner: LockOwner, which: (key: string) => boolean = () => true): void {
    const held = this.#held.get(owner);
    if (held === undefined) return;
    const kept = held.filter(({ key }) => !which(key));
    if (kept.length > 0) this.#held.set(owner, kept);
    else this.#held.delete(owner);
    for (const { key } of held) {
      if (kept.length > 0 && !which(key)) continue;
      const lock = this.#locks.get(key);
      const modes = lock?.holders.get(owner);
      if (lock === undefined || modes === undefined) continue;
      for (const mode of modes) lock.counts[mode] -= 1;
      lock.holders.delete(owner);
      this.#wake(key, lock);
    }
  }

  #grant(owner: LockOwner, key: string, mode: LockMode): void {
    let lock = this.#locks.get(key);
    if (lock === undefined) {
      lock = { holders: new Map(), counts: { ...NONE }, waiters: [] };
      this.#locks.set(key, lock);
    }
    lock.counts[mode] += 1;
    const modes = lock.holders.get(owner);
    if (modes === undefined) lock.holders.set(owner, [mode]);
    else modes.push(mode);
    const held = this.#held.get(owner);
    if (held === undefined) this.#held.set(owner, [{ key, mode }]);
    else held.push({ key, mode });
  }

  #wake(key: string, lock: Lock): void {
    let passed = false;
    for (const next of lock.waiters.slice()) {
      if (passed && !lock.holders.has(next.owner)) continue;
      if (!compatible(lock, next.owner, next.mode)) {
        passed = true;
        continue;
      }
      lock.waiters.splice(lock.waiters.indexOf(next), 1);
      this.#waiting.delete(next.owner);
      this.#grant(next.owner, key, next.mode);
      next.grant();
    }
    if (lock.holders.size === 0 && lock.waiters.length === 0) this.#locks.delete(key);
  }

  /** Whether a wait that is about to begin would wait, through others, for its own owner. */
  #wouldDeadlock(lock: Lock, waiter: Waiter): boolean {
    const seen = new Set<LockOwner>();
    const pending = blockers(lock, waiter);
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (next === waiter.owner) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      const waiting = this.#waiting.get(next);
      if (waiting !== undefined) pending.push(...blockers(waiting.lock, waiting.waiter));
    }
    return false;
  }
}

/** Whom a waiter waits for: holders of modes that conflict, and unless it is one itself, who came before. */
function blockers(lock: Lock, { owner, mode }: Waiter): LockOwner[] {
  const found: LockOwner[] = [];
  for (const [holder, modes] of lock.holders) {
    if (holder !== owner && conflicts(mode, modes)) found.push(holder);
  }
  if (lock.holders.has(owner)) return found;
  for (const ahead of lock.waiters) {
    if (ahead.owner === owner) break;
    found.push(ahead.owner);
  }
  return found;
}

function conflicts(mode: LockMode, held: readonly LockMode[]): boolean {
  return held.some((each) => CONFLICTS[mode].includes(each));
}

function compatible({ holders, counts }: Lock, owner: LockOwner, mode: LockMode): boolean {
  const against = CONFLICTS[mode];
  for (let i = 0; i < against.length; i += 1) {
    const other = against[i]!;
    if (counts[other] === 0) continue;
    const own = holders.get(owner)?.filter((each) => each === other).length ?? 0;
    if (counts[other] > own) return false;
  }
  return true;
}

/** Others wait already, and `owner` has no lock here that would let it pass them. */
function queueAhead(lock: Lock, owner: LockOwner): boolean {
  return lock.waiters.length > 0 && !lock.holders.has(owner);
}

function deadlockError(): SqlError {
  return new SqlError(SQLSTATE.deadlockDetected, 'deadlock detected', {
    hint: 'See server log for query details.',
  });
}
