// Quorum arithmetic: the table of docs/consensus.md, and why the fast quorum is what it is.

import { describe, expect, test } from '@jest/globals';
import { quorumOf } from '../../../ledger/genesis.ts';
import { faultsMax, quorums } from '../../../ledger/quorum.ts';

test.each([
  // n  f  r  q  t  j  keep keepForked
  [1, 0, 1, 1, 0, 1, 1, 2],
  [2, 0, 2, 2, 0, 2, 2, 3],
  [3, 0, 2, 2, 1, 2, 1, 2],
  [4, 1, 3, 3, 1, 2, 1, 2],
  [5, 1, 4, 4, 1, 3, 2, 3],
  [6, 1, 5, 5, 1, 4, 3, 4],
  [7, 2, 5, 6, 1, 3, 2, 3],
  [10, 3, 7, 9, 1, 4, 3, 4],
  [13, 4, 9, 12, 1, 5, 4, 5],
])('%i members, %i of them faulty', (n, f, report, fast, silent, join, keep, keepForked) => {
  expect(faultsMax(n)).toBe(f);
  expect(quorums(n, f)).toEqual({ n, f, report, fast, silent, join, keep, keepForked });
  const node = { publicKey: new Uint8Array(32), address: '' };
  const nodes = Array.from({ length: n }, () => node);
  expect(quorumOf({ consensus: 'raft', nodes })).toBe(fast);
  expect(quorumOf({ consensus: 'bft', nodes })).toBe(report);
});

/**
 * Ways in which a leader that proposes X and Y at one height gets X confirmed by `fast` acknowledgements and the
 * next term does not take X over. Honest members: `x` acknowledged X, `y` acknowledged Y, the others neither.
 */
function losses(n: number, f: number, fast: number, exclude: boolean): number {
  const r = n - f;
  const keep = Math.max(1, fast + r - n - f);
  const keepForked = fast + r + 1 - f - n;
  let lost = 0;
  for (let x = Math.max(0, fast - f); x <= n - f; x++) {
    for (let y = 0; x + y <= n - f; y++) {
      for (const [rx, ry, liars, leader] of reporters(n, f, r, x, y)) {
        for (let lx = 0; lx <= liars; lx++) {
          for (let ly = 0; lx + ly <= liars; ly++) {
            const forked = rx + lx > 0 && ry + ly > 0;
            // Whoever has proven itself a liar is left out.
            if (exclude && forked && leader) continue;
            const needed = exclude && forked ? keepForked : keep;
            if (rx + lx < needed || ry + ly >= needed) lost++;
          }
        }
      }
    }
  }
  return lost;
}

/** Honest reports that hold X, that hold Y, reports of liars, and whether the leader's is among them. */
function* reporters(n: number, f: number, r: number, x: number, y: number) {
  for (const leader of [false, true]) {
    for (let liars = leader ? 1 : 0; liars <= (leader ? f : f - 1); liars++) {
      for (let rx = 0; rx <= x; rx++) {
        for (let ry = 0; ry <= y; ry++) {
          const none = r - rx - ry - liars;
          if (none < 0 || none > n - f - x - y) continue;
          yield [rx, ry, liars, leader] as const;
        }
      }
    }
  }
}

describe('no split of votes and reports loses a confirmed block', () => {
  const sizes = [4, 5, 6, 7, 8, 9, 10, 13].flatMap((n) =>
    Array.from({ length: faultsMax(n) }, (_, i) => [n, i + 1] as const),
  );

  test.each(sizes)('%i members, %i of them faulty', (n, f) => {
    const { fast, report } = quorums(n, f);
    expect(losses(n, f, fast, true)).toBe(0);
    // One less loses some, unless it would be below every quorum.
    if (fast - 1 >= report) expect(losses(n, f, fast - 1, true)).toBeGreaterThan(0);
  });

  test('without leaving the liar out some are lost', () => {
    expect(losses(4, 1, quorums(4, 1).fast, false)).toBeGreaterThan(0);
    expect(losses(7, 2, quorums(7, 2).fast, false)).toBeGreaterThan(0);
  });
});
