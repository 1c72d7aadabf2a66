import { describe, expect, test } from '@jest/globals';
import { LockTable } from '../../../server/lock-table.ts';
import type { Wait } from '../../../server/lock-table.ts';
import { UnlockedWrites } from '../../../server/unlocked-writes.ts';

const [a, b, c] = [{ processId: 1 }, { processId: 2 }, { processId: 3 }] as const;

/** Settled by now? */
async function granted(wait: Wait | null): Promise<boolean> {
  if (wait === null) return true;
  return Promise.race([
    wait.granted.then(() => true),
    new Promise<boolean>((done) => setImmediate(done, false)),
  ]);
}

describe('waiting', () => {
  test('is served in order of arrival', async () => {
    const table = new LockTable();
    expect(table.acquire(a, 'k', 'update')).toBeNull();
    const second = table.acquire(b, 'k', 'keyShare');
    const third = table.acquire(c, 'k', 'update');
    table.release(a, 'k', 'update');
    expect(await granted(second)).toBe(true);
    expect(await granted(third)).toBe(false);
    table.releaseAll(b);
    expect(await granted(third)).toBe(true);
  });

  test('nobody passes those who wait', () => {
    const table = new LockTable();
    table.acquire(a, 'k', 'share');
    table.acquire(b, 'k', 'update');
    expect(table.tryAcquire(c, 'k', 'share')).toBe(false);
  });

  test('a holder that asks for more waits for other holders only', async () => {
    const table = new LockTable();
    table.acquire(a, 'k', 'program');
    table.acquire(b, 'k', 'program');
    table.acquire(b, 'k', 'pin');
    const writer = table.acquire(c, 'k', 'update');
    const pin = table.acquire(a, 'k', 'pin');
    expect(await granted(pin)).toBe(false);
    table.releaseAll(b);
    expect(await granted(pin)).toBe(true);
    expect(await granted(writer)).toBe(false);
    table.releaseAll(a);
    expect(await granted(writer)).toBe(true);
  });

  test('that is cancelled lets the next one in', async () => {
    const table = new LockTable();
    table.acquire(a, 'k', 'share');
    const writer = table.acquire(b, 'k', 'update')!;
    const reader = table.acquire(c, 'k', 'share');
    const reason = new Error('enough') as never;
    writer.cancel(reason);
    await expect(writer.granted).rejects.toBe(reason);
    expect(await granted(reader)).toBe(true);
  });
});

describe('deadlocks', () => {
  test('are refused before the wait begins', () => {
    const table = new LockTable();
    table.acquire(a, 'x', 'update');
    table.acquire(b, 'y', 'update');
    table.acquire(a, 'y', 'update');
    expect(() => table.acquire(b, 'x', 'update')).toThrow('deadlock detected');
  });

  test('through a queue are found', () => {
    const table = new LockTable();
    table.acquire(a, 'x', 'share');
    table.acquire(c, 'y', 'update');
    table.acquire(b, 'x', 'update');
    table.acquire(a, 'y', 'update');
    expect(() => table.acquire(c, 'x', 'share')).toThrow('deadlock detected');
  });

  test('two programs that are to be seen are none', () => {
    const table = new LockTable();
    for (const owner of [a, b, c]) table.acquire(owner, 'k', 'program');
    table.acquire(a, 'k', 'pin');
    expect(table.acquire(b, 'k', 'applying')).not.toBeNull();
    expect(table.acquire(c, 'k', 'pin')).not.toBeNull();
  });
});

test('locks since a mark are given back', () => {
  const table = new LockTable();
  table.acquire(a, 'early', 'update');
  const mark = table.mark(a);
  table.acquire(a, 'late', 'update');
  table.acquire(a, 'kept', 'update');
  table.releaseSince(a, mark, (key) => key !== 'kept');
  const free = ['early', 'late', 'kept'].map((key) => table.available(b, key, 'update'));
  expect(free).toEqual([false, true, false]);
  table.releaseAll(a);
  expect(table.empty).toBe(true);
});

test('writes under way are waited for, also those that fail', async () => {
  const writes = new UnlockedWrites();
  const { promise, reject } = Promise.withResolvers<void>();
  const tracked = writes.track(7, promise);
  const order: string[] = [];
  const waited = writes.settled(7).then(() => order.push('settled'));
  await writes.settled(8);
  order.push('other table');
  reject(new Error('refused'));
  await expect(tracked).rejects.toThrow('refused');
  await waited;
  expect(order).toEqual(['other table', 'settled']);
});
