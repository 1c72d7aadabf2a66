// Advisory locks: names that sessions agree on, held in the node's lock table. Shell.
//
// A lock is held at session level, at transaction level, or both; the levels exclude each other's holders,
// so they share one key, and what each session holds at which level is counted here.

import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { LockMode } from '../lock-table.ts';
import type { SessionContext } from './context.ts';

export type AdvisoryLevel = 'session' | 'transaction';

interface Held {
  readonly key: string;
  readonly mode: LockMode;
  session: number;
  transaction: number;
}

const held = new WeakMap<SessionContext, Map<string, Held>>();

/** Keys of this prefix outlive a transaction; this file gives back what is held for one only. */
const PREFIX = 'session-advisory:';

/** Takes the lock, waiting as lock_timeout and cancel requests allow. */
export async function lockAdvisory(
  session: SessionContext,
  name: string,
  shared: boolean,
  level: AdvisoryLevel,
): Promise<void> {
  const mode = modeOf(shared);
  await session.lock(PREFIX + name, mode);
  count(session, name, mode, level);
}

/** Takes the lock if that needs no wait; false otherwise. */
export function tryLockAdvisory(
  session: SessionContext,
  name: string,
  shared: boolean,
  level: AdvisoryLevel,
): boolean {
  const mode = modeOf(shared);
  if (!session.services.locks.tryAcquire(session, PREFIX + name, mode)) return false;
  count(session, name, mode, level);
  return true;
}

/** Gives back one acquisition at session level; false, with a warning, when there is none. */
export function unlockAdvisory(session: SessionContext, name: string, shared: boolean): boolean {
  const mode = modeOf(shared);
  const own = held.get(session)?.get(`${mode}:${name}`);
  if (own !== undefined && own.session > 0) {
    own.session -= 1;
    if (session.services.locks.release(session, own.key, mode)) return true;
  }
  const type = shared ? 'ShareLock' : 'ExclusiveLock';
  session.notice('WARNING', SQLSTATE.warning, `you don't own a lock of type ${type}`);
  return false;
}

/** Gives back everything held at one level. */
export function releaseAdvisory(session: SessionContext, level: AdvisoryLevel): void {
  for (const own of held.get(session)?.values() ?? []) {
    for (; own[level] > 0; own[level] -= 1) {
      session.services.locks.release(session, own.key, own.mode);
    }
  }
}

function modeOf(shared: boolean): LockMode {
  return shared ? 'share' : 'update';
}

function count(session: SessionContext, name: string, mode: LockMode, level: AdvisoryLevel): void {
  let own = held.get(session);
  if (own === undefined) held.set(session, (own = new Map()));
  const entry = own.get(`${mode}:${name}`);
  if (entry !== undefined) entry[level] += 1;
  else {
    const fresh = { key: PREFIX + name, mode, session: 0, transaction: 0 };
    fresh[level] = 1;
    own.set(`${mode}:${name}`, fresh);
  }
}
