// Which tables to move so that the shards of the state are as somebody wants them. Pure.
//
// Whole tables move, the fewest bytes that do it. The same tables give the same plan.

/** A table with the shard that it lies in. */
export interface PlacedTable {
  /** As in a statement: with its schema, quoted where needed. */
  readonly name: string;
  readonly shard: number;
  /** Of its rows, history and indexes. */
  readonly bytes: number;
}

export interface Move {
  readonly table: string;
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
}

/** All tables of a shard, smallest first. */
export function movesToMerge(tables: readonly PlacedTable[], from: number, to: number): Move[] {
  return tables
    .filter(({ shard }) => shard === from)
    .toSorted((a, b) => a.bytes - b.bytes)
    .map((table) => moveOf(table, to));
}

/**
 * About half of the bytes of a shard: the biggest tables first, as long as what moves is not more than what stays. Of a
 * single table nothing moves, because it would only change its place.
 */
export function movesToSplit(tables: readonly PlacedTable[], from: number, to: number): Move[] {
  const here = tables.filter(({ shard }) => shard === from).toSorted((a, b) => b.bytes - a.bytes);
  let stays = sum(here);
  let moved = 0;
  const moves: Move[] = [];
  // The biggest stays, so that what does not fit into one half is in the other.
  for (const table of here.slice(1)) {
    if (moved + table.bytes > stays - table.bytes) continue;
    moved += table.bytes;
    stays -= table.bytes;
    moves.push(moveOf(table, to));
  }
  return moves;
}

/**
 * Moves until no move of one table makes two shards more even. Each takes the table that comes nearest to making the fullest
 * shard and the emptiest alike; the gap between a pair shrinks with each, so it ends, and no table moves twice.
 */
export function movesToBalance(tables: readonly PlacedTable[], shards: number): Move[] {
  const placed = tables.map((table) => ({ ...table, origin: table.shard }));
  for (;;) {
    const loads = Array.from({ length: shards }, (_, shard) =>
      sum(placed.filter((table) => table.shard === shard)),
    );
    const best = bestStep(placed, loads);
    if (best === null) break;
    best.table.shard = best.to;
  }
  return placed
    .filter(({ shard, origin }) => shard !== origin)
    .map(({ name, shard: to, origin, bytes }) => ({ table: name, from: origin, to, bytes }));
}

interface Placing {
  readonly name: string;
  readonly bytes: number;
  readonly origin: number;
  shard: number;
}

/** The move after which the gap between the two shards is smallest, of those that leave it smaller; null for none. */
function bestStep(
  placed: readonly Placing[],
  loads: readonly number[],
): { readonly table: Placing; readonly to: number } | null {
  const emptiest = loads.indexOf(Math.min(...loads));
  const byLoad = [...loads.keys()].toSorted((a, b) => loads[b]! - loads[a]!);
  for (const fullest of byLoad) {
    const gap = loads[fullest]! - loads[emptiest]!;
    const fitting = placed.filter(
      ({ shard, bytes }) => shard === fullest && bytes > 0 && bytes < gap,
    );
    const left = ({ bytes }: Placing): number => Math.abs(gap - 2 * bytes);
    const [table] = fitting.toSorted((a, b) => left(a) - left(b) || a.bytes - b.bytes);
    if (table !== undefined) return { table, to: emptiest };
  }
  return null;
}

function moveOf({ name, shard, bytes }: PlacedTable, to: number): Move {
  return { table: name, from: shard, to, bytes };
}

function sum(tables: readonly { readonly bytes: number }[]): number {
  return tables.reduce((total, { bytes }) => total + bytes, 0);
}
