// `trustsql shard list`, `split`, `merge`, `rebalance`: where the tables lie, and moving them, on a running node. Shell.

import { movesToBalance, movesToMerge, movesToSplit } from '../server/shards/plan.ts';
import type { Move, PlacedTable } from '../server/shards/plan.ts';
import type { Connection } from './connect.ts';
import { CommandError, EXIT } from './exit.ts';
import { onNode, say } from './governance.ts';
import type { NodeFlags } from './governance.ts';
import { jsonText } from './json.ts';
import { runSql } from './sql.ts';
import { formatTable } from './table.ts';

export interface ListFlags extends NodeFlags {
  readonly tables?: boolean;
}

export interface MoveFlags extends NodeFlags {
  readonly into?: string;
  /** Say what would be moved, and move nothing. */
  readonly plan?: boolean;
}

export type Rearrangement = 'split' | 'merge' | 'rebalance';

/** Bytes of a table that are moved in a second: the slower of two measured machines (docs/operations.md). */
const MOVED_BYTES_PER_SECOND = 30_000_000;

const SHARDS = `
  SELECT s.shard, s.file, s.bytes, s.free_bytes, s.log_bytes, s.tables, coalesce(r.rows, 0) AS rows, s.height
  FROM ledger.shards s
  LEFT JOIN (SELECT shard, sum(rows)::int8 AS rows FROM ledger.relations GROUP BY shard) r USING (shard)
  ORDER BY s.shard`;
const TABLES = `
  SELECT shard, schema, name, rows, bytes FROM ledger.relations
  WHERE kind = 'table' ORDER BY shard, bytes DESC, schema, name`;

export async function listShards({ tables, ...flags }: ListFlags): Promise<void> {
  await runSql(tables === true ? TABLES : SHARDS, flags);
}

/** @throws CommandError 2 for shards that are none, 1 when the node refuses a move */
export async function rearrangeShards(
  how: Rearrangement,
  shard: string | null,
  flags: MoveFlags,
): Promise<void> {
  await onNode(flags, async (connection) => {
    const [{ shards, tables }, { into, plan, json }] = [await placementOf(connection), flags];
    const moves = movesOf(how, shards, tables, shard, into);
    if (plan !== true) await carryOut(connection, moves);
    process.stdout.write(
      json === true ? jsonOf(moves, plan !== true) : textOf(moves, plan !== true),
    );
  });
}

async function placementOf(
  connection: Connection,
): Promise<{ shards: number; tables: readonly PlacedTable[] }> {
  const [count] = await connection.query('SELECT count(*) FROM ledger.shards');
  const [found] = await connection.query(
    `SELECT shard, quote_ident(schema) || '.' || quote_ident(name), bytes FROM ledger.relations
     WHERE kind = 'table' AND shard IS NOT NULL ORDER BY id`,
  );
  const tables = found!.rows.map(([shard, name, bytes]) => ({
    name: name!,
    shard: Number(shard),
    bytes: Number(bytes),
  }));
  return { shards: Number(count!.rows[0]![0]), tables };
}

function movesOf(
  how: Rearrangement,
  shards: number,
  tables: readonly PlacedTable[],
  shard: string | null,
  into: string | undefined,
): readonly Move[] {
  if (how === 'rebalance') return movesToBalance(tables, shards);
  const [from, to] = [numberOf(shard!, shards), numberOf(into!, shards)];
  if (from === to) throw new CommandError(EXIT.usage, `--into: shard ${to} is the same one`);
  return how === 'split' ? movesToSplit(tables, from, to) : movesToMerge(tables, from, to);
}

function numberOf(text: string, shards: number): number {
  if (/^\d{1,4}$/.test(text) && Number(text) < shards) return Number(text);
  const last = shards - 1;
  throw new CommandError(EXIT.usage, `there is no shard ${text}: they are 0 to ${last}`);
}

/** One table after the other: between two of them others write. */
async function carryOut(connection: Connection, moves: readonly Move[]): Promise<void> {
  for (const { table, to, bytes } of moves) {
    say(`moving ${table} to shard ${to} (${bytes} bytes)`);
    await connection.query(`ALTER TABLE ${table} SET (shard = ${to})`);
  }
}

function secondsOf(moves: readonly Move[]): number {
  return Math.ceil(bytesOf(moves) / MOVED_BYTES_PER_SECOND);
}

function bytesOf(moves: readonly Move[]): number {
  return moves.reduce((sum, { bytes }) => sum + bytes, 0);
}

function jsonOf(moves: readonly Move[], done: boolean): string {
  return jsonText({ done, moves, bytes: bytesOf(moves), estimatedSeconds: secondsOf(moves) });
}

function textOf(moves: readonly Move[], done: boolean): string {
  if (moves.length === 0) return 'There is nothing to move.\n';
  const columns = ['table', 'from', 'to', 'bytes'].map((name) => ({
    name,
    rightAligned: name !== 'table',
  }));
  const rows = moves.map(({ table, from, to, bytes }) => [table, `${from}`, `${to}`, `${bytes}`]);
  const verdict = done
    ? 'Moved. What the tables took in their old files is free for new rows; trustsql shard vacuum gives it back.'
    : `Writes would wait for ${secondsOf(moves)} s in all, for one table at a time.`;
  return `${formatTable({ columns, rows })}\n\n${verdict}\n`;
}
