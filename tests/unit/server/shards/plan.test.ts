import { expect, test } from '@jest/globals';
import { movesToBalance, movesToMerge, movesToSplit } from '../../../../server/shards/plan.ts';
import type { Move, PlacedTable } from '../../../../server/shards/plan.ts';

function placed(...shards: readonly number[][]): PlacedTable[] {
  return shards.flatMap((sizes, shard) =>
    sizes.map((bytes, i) => ({ name: `t${shard}_${i}`, shard, bytes })),
  );
}

function loadsAfter(tables: readonly PlacedTable[], moves: readonly Move[], count: number) {
  const loads = new Array<number>(count).fill(0);
  for (const { name, shard, bytes } of tables) {
    loads[moves.find(({ table }) => table === name)?.to ?? shard]! += bytes;
  }
  return loads;
}

test('a merge moves all tables of a shard, the smallest first', () => {
  const tables = placed([30, 10, 20], [5]);
  expect(movesToMerge(tables, 0, 1).map(({ table, bytes }) => [table, bytes])).toEqual([
    ['t0_1', 10],
    ['t0_2', 20],
    ['t0_0', 30],
  ]);
  expect(movesToMerge(tables, 2, 1)).toEqual([]);
});

test('a split moves about half, and never more than what stays', () => {
  const tables = placed([40, 30, 20, 10], []);
  const moves = movesToSplit(tables, 0, 1);
  expect(loadsAfter(tables, moves, 2)).toEqual([50, 50]);
  expect(movesToSplit(placed([100]), 0, 1)).toEqual([]);
  const uneven = placed([100, 1, 2]);
  expect(loadsAfter(uneven, movesToSplit(uneven, 0, 1), 2)).toEqual([100, 3]);
  expect(movesToSplit(placed([]), 0, 1)).toEqual([]);
});

test('a balance is even where tables allow it, and leaves what is even', () => {
  const tables = placed([60, 30, 30], [], []);
  expect(loadsAfter(tables, movesToBalance(tables, 3), 3)).toEqual([30, 60, 30]);
  expect(movesToBalance(placed([10], [10], [10]), 3)).toEqual([]);
  expect(movesToBalance(placed([100], []), 2)).toEqual([]);
  expect(movesToBalance(placed([0, 0], []), 2)).toEqual([]);
  expect(movesToBalance([], 8)).toEqual([]);
});

test('after a balance no move of one table makes any two shards more even, and no table moves twice', () => {
  let seed = 7;
  const random = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
  for (let round = 0; round < 200; round++) {
    const count = 1 + random(8);
    const tables = Array.from({ length: random(30) }, (_, i) => ({
      name: `t${i}`,
      shard: random(count),
      bytes: random(1_000),
    }));
    const moves = movesToBalance(tables, count);
    expect(new Set(moves.map(({ table }) => table)).size).toBe(moves.length);
    const after = tables.map((table) => ({
      ...table,
      shard: moves.find((move) => move.table === table.name)?.to ?? table.shard,
    }));
    expect(movesToBalance(after, count)).toEqual([]);
    const loads = loadsAfter(tables, moves, count);
    for (const { shard, bytes } of after) {
      for (const load of loads) expect(bytes === 0 || bytes >= loads[shard]! - load).toBe(true);
    }
  }
});
