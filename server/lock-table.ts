// Row locks, table locks and advisory locks of one node. Pure: time-outs and cancels come from outside.
//
// Locks live at the edge only; they never reach the chain. They make sessions of this node wait for each
// other as in Postgres; conflicts between nodes end in 40001 when applied.
//
// (1) A lock is a key and a mode; holders of a key are mutually compatible.
// (2) Waiters are served in order of arrival. A holder that asks for more goes before the others.
// (3) A wait that would close a circle of waits is refused with 40P01 before it begins.

import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';

/**
 * Row modes of Postgres, weakest first, and two for row programs. `program`: one whose result nobody has
 * seen; it waits for whoever has locked the row but not for other programs. `pin`: its own transaction has seen
 * it, so that it must be the next; programs of others come after it. Advisory, table and key locks use `share`
 * and `update`.
 */
export type LockMode = 'keyShare' | 'share' | 'program' | 'pin' | 'noKeyUpdate' | 'update';

const CONFLICTS: Readonly<Record<LockMode, readonly LockMode[]>> = {
  keyShare: ['update'],
  share: ['program', 'pin', 'noKeyUpdate', 'update'],
  program: ['share', 'pin', 'noKeyUpdate', 'update'],
  pin: ['share', 'pin', 'noKeyUpdate', 'update'],
  noKeyUpdate: ['share', 'program', 'pin', 'noKeyUpdate', 'update'],
  update: ['keyShare', 'share', 'program', 'pin', 'noKeyUpdate', 'update'],
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

type Lock = { readonly holders: Map<LockOwner, LockMode[]>; readonly waiters: Waiter[] };

/** A wait in progress. */
export interface Wait {
  readonly granted: Promise<void>;
  /** Ends the wait with `error`; nothing happens when it is over. */
  cancel(error: SqlError): void;
}

export class LockTable {
  readonly #locks = new Map<string, Lock>();
  readonly #held = new Map<LockOwner, Acquisition[]>();
  readonly #waiting = new Map<LockOwner, string>();

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
    if (this.#wouldDeadlock(owner, key)) throw deadlockError();
    const lock = this.#locks.get(key)!;
    let waiter: Waiter;
    const granted = new Promise<void>((resolve, reject) => {
      waiter = { owner, mode, grant: resolve, refuse: reject };
      lock.waiters.push(waiter);
    });
    this.#waiting.set(owner, key);
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
    if (modes.length === 0) lock.holders.delete(owner);
    const held = this.#held.get(owner)!;
    held.splice(held.findLastIndex((each) => each.key === key && each.mode === mode), 1);
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
      const lock = which(key) ? this.#locks.get(key) : undefined;
      if (lock?.holders.delete(owner) === true) this.#wake(key, lock);
    }
  }

  #grant(owner: LockOwner, key: string, mode: LockMode): void {
    let lock = this.#locks.get(key);
    if (lock === undefined) this.#locks.set(key, (lock = { holders: new Map(), waiters: [] }));
    const modes = lock.holders.get(owner);
    if (modes === undefined) lock.holders.set(owner, [mode]);
    else modes.push(mode);
    const held = this.#held.get(owner);
    if (held === undefined) this.#held.set(owner, [{ key, mode }]);
    else held.push({ key, mode });
  }

  #wake(key: string, lock: Lock): void {
    while (lock.waiters.length > 0) {
      const next = lock.waiters[0]!;
      if (!compatible(lock, next.owner, next.mode)) break;
      lock.waiters.shift();
      this.#waiting.delete(next.owner);
      this.#grant(next.owner, key, next.mode);
      next.grant();
    }
    if (lock.holders.size === 0 && lock.waiters.length === 0) this.#locks.delete(key);
  }

  /** Whether a wait of `owner` for `key` would wait, through others, for `owner` itself. */
  #wouldDeadlock(owner: LockOwner, key: string): boolean {
    const seen = new Set<LockOwner>([owner]);
    const pending = [key];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const lock = this.#locks.get(next);
      if (lock === undefined) continue;
      for (const other of [...lock.holders.keys(), ...lock.waiters.map((w) => w.owner)]) {
        if (seen.has(other)) continue;
        seen.add(other);
        const waitsFor = this.#waiting.get(other);
        if (waitsFor === undefined) continue;
        if (this.#locks.get(waitsFor)?.holders.has(owner) === true) return true;
        pending.push(waitsFor);
      }
    }
    return false;
  }
}

function compatible(lock: Lock, owner: LockOwner, mode: LockMode): boolean {
  for (const [holder, modes] of lock.holders) {
    if (holder !== owner && modes.some((held) => CONFLICTS[mode].includes(held))) return false;
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
