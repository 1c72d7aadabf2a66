// What the cases of tests/slow/limits.ts share: a node, clients, its memory, and what must hold after each of them. Shell.

import { readFileSync } from 'node:fs';
import pg from 'pg';
import type { NodeProcess } from '../end-to-end/process.ts';

export const MEBIBYTE = 1 << 20;

/** One thing that a node may meet. */
export interface Case {
  readonly name: string;
  /** What was seen, in some words. Rejects when a promise does not hold. */
  readonly run: () => Promise<string>;
}

/** A case that cannot be tried on this machine. */
export class Skipped extends Error {
  override readonly name = 'Skipped';
}

/** Resolves with what `work` gives, after closing the client. */
export async function withClient<T>(
  url: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The SQLSTATE that `work` fails with; `ok` when it does not fail, `closed` when the connection was closed without one. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (error) {
    const { code } = error as { code?: string };
    return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : 'closed';
  }
}

/** @throws Error with `what` unless `holds` */
export function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Resident memory of a process, in bytes. Linux. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Looks at the memory of a node while `work` runs. @returns the most it grew by, in bytes */
export async function growthDuring(node: NodeProcess, work: () => Promise<void>): Promise<number> {
  const { pid } = node;
  if (pid === undefined) throw new Error('the node is not running');
  const before = residentBytes(pid);
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, residentBytes(pid))), 50);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(most, residentBytes(pid)) - before;
}

/** Reads and writes as any other client would. */
export async function served(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('CREATE TABLE IF NOT EXISTS served (n int)');
    await client.query('INSERT INTO served VALUES (1)');
    const { rows } = await client.query<{ there: boolean }>(
      'SELECT count(*) > 0 AS there FROM served',
    );
    expect(rows[0]!.there, 'a row that was acknowledged is not there');
  });
}

export function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)} MiB`;
}
