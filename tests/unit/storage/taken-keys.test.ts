import { describe, expect, test } from '@jest/globals';
import { seeded } from '../../end-to-end/crash-workload.ts';
import { KEY_BYTES, TakenKeys } from '../../../storage/taken-keys.ts';

/** Few different bytes, so that keys differ in little, and some come again. */
function someKey(random: () => number): Uint8Array {
  return Uint8Array.from({ length: KEY_BYTES }, (_, i) =>
    i % 5 === 0 ? Math.floor(random() * 12) : 0,
  );
}

describe('keys taken', () => {
  test('are those of a Map, however many there are', () => {
    const random = seeded(7);
    const keys = new TakenKeys();
    const model = new Map<string, number>();
    const wrong: string[] = [];
    for (let i = 0; i < 60_000; i++) {
      const author = Math.floor(random() * 3) + (random() < 0.5 ? 0 : 2 ** 40);
      const key = someKey(random);
      const name = `${author}:${key.join()}`;
      if (keys.untilOf(author, key) !== model.get(name)) wrong.push(name);
      const untilMs = Math.floor(random() * 2 ** 45);
      keys.set(author, key, untilMs);
      model.set(name, untilMs);
    }
    expect(keys.size).toBe(model.size);
    for (const [name, untilMs] of model) {
      const [author, key] = name.split(':') as [string, string];
      const found = keys.untilOf(Number(author), Uint8Array.from(key.split(','), Number));
      if (found !== untilMs) wrong.push(name);
    }
    expect(wrong).toEqual([]);
  });

  test('are taken over as long as they are valid, and do not replace newer ones', () => {
    const [older, newer] = [new TakenKeys(), new TakenKeys(5_000)];
    const key = (n: number): Uint8Array => new Uint8Array(KEY_BYTES).fill(n);
    older.set(1, key(1), 100);
    older.set(1, key(2), 99);
    older.set(1, key(3), 100);
    newer.set(1, key(3), 200);
    newer.addTaken(older, 100);
    expect([1, 2, 3].map((n) => newer.untilOf(1, key(n)))).toEqual([100, undefined, 200]);
    expect(newer.size).toBe(2);
  });
});
