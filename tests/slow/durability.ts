// The block is on disk before the reply leaves: the system calls of a node, in the order they were made.
// Shell; run by .ci/run, needs strace.
//
//     node tests/slow/durability.ts
//
// For each of a number of INSERTs: between the reply before and this one's CommandComplete, the node has
// written to the journal and then synced it, and the sync had returned.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { findProgram, NodeProcess } from '../end-to-end/process.ts';

const INSERTS = 25;
const CALLS = 'trace=fsync,fdatasync,pwrite64,pwritev,write,writev,sendto,sendmsg';

/** One system call, at the place of its return. */
interface Call {
  readonly name: string;
  readonly text: string;
}

/** Calls in the order they returned; strace splits those that another thread's calls came between. */
function callsOf(trace: string): Call[] {
  const open = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of trace.split('\n')) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (text.endsWith('<unfinished ...>')) {
      open.set(thread, text.slice(0, -'<unfinished ...>'.length));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    const whole = resumed === null ? text : `${open.get(thread) ?? ''}${resumed[1]}`;
    const name = /^(\w+)\(/.exec(whole)?.[1];
    if (name !== undefined) calls.push({ name, text: whole });
  }
  return calls;
}

/** What is wrong, null when each reply came after its block was synced. */
function fault(calls: readonly Call[]): string | null {
  let replies = 0;
  let written = false;
  let synced = false;
  for (const { name, text } of calls) {
    const journal = /<[^>]*\/chain\/journal-[01]>/.test(text);
    if (journal && name.startsWith('pwrite')) {
      written = true;
      synced = false;
    } else if (journal && /^f(data)?sync$/.test(name) && / = 0\b/.test(text)) {
      synced = written;
    } else if (/<(socket|TCP)/.test(text) && text.includes(String.raw`INSERT 0 1\0`)) {
      replies += 1;
      if (!written) return `reply ${replies} left before its block was written`;
      if (!synced) return `reply ${replies} left before its block was synced`;
      written = false;
      synced = false;
    }
  }
  return replies === INSERTS ? null : `${replies} of ${INSERTS} replies were seen`;
}

async function main(): Promise<number> {
  const strace = findProgram('strace');
  if (strace === undefined) {
    console.error('strace is needed');
    return 1;
  }
  // Nothing is written but for the statements: the proof of the last results waits.
  await using node = await NodeProcess.start('--idle-proof-ms', '600000');
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  await client.connect();
  await client.query('CREATE TABLE entry (name text)');
  await client.query(`INSERT INTO entry VALUES ('before')`);
  const file = path.join(node.directory, 'trace');
  const flags = ['-f', '-y', '-s', '4096', '-e', CALLS, '-o', file, '-p', String(node.pid)];
  const child = spawn(strace, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
  const closed = once(child, 'close');
  // It says so when it has attached.
  await once(child.stderr, 'data');
  child.stderr.resume();
  for (let n = 0; n < INSERTS; n += 1) {
    await client.query('INSERT INTO entry VALUES ($1)', [`name ${n}`]);
  }
  child.kill('SIGINT');
  await closed;
  await client.end();
  const found = fault(callsOf(await readFile(file, 'utf8')));
  if (found !== null) {
    console.error(found);
    return 1;
  }
  console.log(`${INSERTS} replies, each after the sync of its block`);
  return 0;
}

process.exitCode = await main();
