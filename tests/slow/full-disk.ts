// A disk without room loses nothing that was acknowledged. Shell; run by .ci/run, needs sh.
//
//     node tests/slow/full-disk.ts
//
// A limit on the size of files (ulimit -f) stands for the full disk: whoever runs this needs no file system of
// their own. Under it a node takes statements until one fails: the client must be told so by an SQLSTATE, and a
// node that cannot go on must end by itself, with one sentence and exit code 3. Without the limit it must start
// again, hold every row that was acknowledged, take new ones, and verify.

import { globSync, statSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { NodeProcess, startedBy, trustsql } from '../end-to-end/process.ts';

const MEBIBYTE = 1 << 20;
/** How much the largest file may grow. */
const ROOM_BYTES = 24 * MEBIBYTE;
/** Units of ulimit -f, in bytes (POSIX). */
const BLOCK_BYTES = 512;
const STATEMENTS_MAX = 2_000;
const END_TIMEOUT_MS = 15_000;

/** No room, no write, the node stops, outcome unknown, the ledger has stopped, no answer. */
const CODES = ['53100', '58030', '57P01', '40003', 'TL003', '08006'];

/** One statement of a load, and how many rows it adds. */
interface Load {
  readonly name: string;
  readonly rows: number;
}

const LOADS: readonly Load[] = [
  { name: 'small inserts', rows: 900 },
  { name: 'inserts that go ahead in chunks', rows: 20_000 },
];

function largest(data: string): number {
  const files = globSync('{chain,state,analyst}/*', { cwd: data });
  return Math.max(...files.map((file) => statSync(path.join(data, file)).size));
}

/** Starts the node under the limit. */
function startLimited(node: NodeProcess, bytes: number): ReturnType<typeof startedBy> {
  const limit = Math.ceil(bytes / BLOCK_BYTES);
  return startedBy(node, ['sh', '-c', `ulimit -f ${limit}; exec "$@"`, 'sh']);
}

/** Rows acknowledged before the first statement that failed, and its code. */
async function fill(url: string, { rows }: Load): Promise<{ acknowledged: number; code: string }> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  let acknowledged = 0;
  try {
    await client.connect();
    for (let i = 0; i < STATEMENTS_MAX; i += 1) {
      const text = `INSERT INTO entry SELECT n, md5(n || 'x${i}') || repeat('x', 400) FROM generate_series(1, ${rows}) n`;
      await client.query(text);
      acknowledged += rows;
    }
  } catch (error) {
    // A connection that ends without a word has no code: the client knows that it does not know.
    return { acknowledged, code: (error as { code?: string }).code ?? '08006' };
  } finally {
    await client.end().catch(() => undefined);
  }
  return { acknowledged, code: 'none' };
}

async function count(node: NodeProcess): Promise<number> {
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  await client.connect();
  const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM entry');
  await client.end();
  return Number(rows[0]!.count);
}

/** What is wrong, or null. */
async function fault(node: NodeProcess, load: Load): Promise<string | null> {
  const before = await count(node);
  await node.stop();
  const limited = await startLimited(node, largest(node.data) + ROOM_BYTES);
  const { acknowledged, code } = await fill(await node.clearUrl(), load);
  if (!CODES.includes(code)) return `a statement failed with ${code}\n${limited.output.text}`;
  const timer = setTimeout(() => limited.child.kill('SIGTERM'), END_TIMEOUT_MS);
  const [exit] = await limited.closed;
  clearTimeout(timer);
  const last = limited.output.text.trimEnd().split('\n').at(-1) ?? '';
  if (exit !== 3 || !/^trustsql: the node has failed: \S+: [^\n]+$/.test(last)) {
    return `the node ended with ${exit}: ${last}`;
  }
  await node.start();
  const after = await count(node);
  const known = before + acknowledged;
  if (after !== known && after !== known + load.rows) {
    return `${after} rows are there, and ${known} were acknowledged`;
  }
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  await client.connect();
  await client.query(`INSERT INTO entry VALUES (0, 'after')`);
  await client.end();
  console.log(`${load.name}: ${acknowledged} rows, then ${code}; ${last}`);
  return null;
}

async function main(): Promise<number> {
  await using node = await NodeProcess.start();
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  await client.connect();
  await client.query('CREATE TABLE entry (n int, body text)');
  await client.end();
  for (const load of LOADS) {
    const found = await fault(node, load);
    if (found === null) continue;
    console.error(`${load.name}: ${found}`);
    return 1;
  }
  await node.stop();
  const verified = await trustsql('verify', ...node.flags);
  if (verified.code === 0) return 0;
  console.error(verified.stdout + verified.stderr);
  return 1;
}

process.exitCode = await main();
