// What the machine may do to a node: too few files, a directory that cannot be written to, a clock that is set. Shell.

import {
  chmodSync,
  chownSync,
  globSync,
  openSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { findProgram, NodeProcess, run, startedBy } from '../end-to-end/process.ts';
import { codeOf, expect, served, Skipped, withClient } from './case.ts';
import type { Case } from './case.ts';

const DAY_SECONDS = 86_400;
const NOBODY = 65_534;
/** For the connections that a node takes unless it is told otherwise. */
const FILES_TOO_FEW = 350;
const FILES_ENOUGH = 360;

export const MACHINE_CASES: readonly Case[] = [
  { name: 'too few open files', run: fewFiles },
  { name: 'a data directory that cannot be written to', run: readOnly },
  { name: 'a clock that is set a day ahead, and back', run: clockSet },
];

/** Too few are refused at the start; what is enough for it is enough for all clients that may connect. */
async function fewFiles(): Promise<string> {
  await using node = await NodeProcess.start();
  const url = await node.clearUrl();
  await served(url);
  await node.stop();
  const limited = (files: number) =>
    startedBy(node, ['sh', '-c', `ulimit -n ${files}; exec "$@"`, 'sh']);
  const refused = await limited(FILES_TOO_FEW);
  const [code] = await refused.closed;
  const last = refused.output.text.trimEnd().split('\n').at(-1) ?? '';
  expect(code === 2 && last.includes('ulimit -n'), `it ended with ${String(code)}: ${last}`);
  const { child, output, closed } = await limited(FILES_ENOUGH);
  const clients: pg.Client[] = [];
  try {
    expect(child.exitCode === null, `it did not start: ${output.text}`);
    let more = 'ok';
    while (more === 'ok') {
      const client = new pg.Client({ connectionString: url });
      client.on('error', () => undefined);
      more = await codeOf(client.connect());
      if (more === 'ok') clients.push(client);
    }
    expect(more === '53300', `client ${clients.length + 1}: ${more}`);
    await clients[0]!.query('CREATE TABLE few (n int)');
    for (const client of clients) await client.query('INSERT INTO few VALUES (1)');
    const { rows } = await clients[0]!.query<{ n: number }>('SELECT count(*)::int AS n FROM few');
    expect(rows[0]!.n === clients.length, 'a row that was acknowledged is not there');
    return `${last}; with ${FILES_ENOUGH} files ${clients.length} clients, then ${more}`;
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    child.kill('SIGTERM');
    await closed;
  }
}

/** It must not start half, nor write: one sentence and an exit code. */
async function readOnly(): Promise<string> {
  await using node = await NodeProcess.start();
  await served(await node.clearUrl());
  await node.stop();
  const root = process.getuid?.() === 0;
  const all = [
    node.data,
    ...globSync('**', { cwd: node.data }).map((file) => path.join(node.data, file)),
  ];
  if (root) {
    // Whoever may do everything can write everywhere.
    chmodSync(node.directory, 0o755);
    for (const file of [...all, path.join(node.directory, 'master.key')])
      chownSync(file, NOBODY, NOBODY);
  }
  const folders = [
    node.data,
    ...['chain', 'state', 'analyst', 'keys'].map((name) => path.join(node.data, name)),
  ];
  const files = all.filter((file) => !folders.includes(file));
  for (const file of files) chmodSync(file, 0o400);
  for (const folder of folders) chmodSync(folder, 0o500);
  const { child, output, closed } = await startedBy(node, [], root ? { uid: NOBODY } : {});
  child.kill('SIGTERM');
  const [code] = await closed;
  for (const folder of folders) chmodSync(folder, 0o700);
  for (const file of files) chmodSync(file, 0o600);
  const last = output.text.trimEnd().split('\n').at(-1) ?? '';
  expect(code !== 0 && code !== null, `it ended with ${String(code)}: ${output.text}`);
  expect(/^trustsql: [^\n]+$/.test(last), `no sentence: ${output.text}`);
  if (root)
    for (const file of [...all, path.join(node.directory, 'master.key')]) chownSync(file, 0, 0);
  await node.start();
  await served(await node.clearUrl());
  return `exit code ${code}; ${last.replaceAll(node.directory, '…')}`;
}

/** Reads the offset at each call, so that the clock jumps while the node runs. The monotonic clock goes on. */
const INTERPOSER = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long *offset;
static long seconds(void) {
  if (offset == 0) {
    int file = open(getenv("CLOCK_OFFSET_FILE"), O_RDONLY);
    offset = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
  }
  return *offset;
}
int clock_gettime(clockid_t id, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == 0) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, time);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) time->tv_sec += seconds();
  return result;
}
int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}
`;

async function clockSet(): Promise<string> {
  const cc = findProgram('cc');
  if (cc === undefined) throw new Skipped('needs cc');
  await using node = await NodeProcess.start();
  const url = await node.clearUrl();
  await served(url);
  await node.stop();
  const source = path.join(node.directory, 'clock.c');
  const library = path.join(node.directory, 'clock.so');
  const offsets = path.join(node.directory, 'offset');
  writeFileSync(source, INTERPOSER);
  const built = await run(cc, ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl']);
  expect(built.code === 0, built.stderr);
  const set = (days: number): void => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(days * DAY_SECONDS));
    const file = openSync(offsets, 'a+');
    closeSync(file);
    const open = openSync(offsets, 'r+');
    writeSync(open, bytes, 0, 8, 0);
    closeSync(open);
  };
  set(0);
  const env = { LD_PRELOAD: library, CLOCK_OFFSET_FILE: offsets };
  const seen: string[] = [];
  for (const days of [
    [0, 1, 0],
    [1, -1],
  ]) {
    const { child, output, closed } = await startedBy(node, [], { env });
    expect(child.exitCode === null, `it did not start: ${output.text}`);
    for (const day of days) {
      set(day);
      await withClient(url, async (client) => {
        await client.query('SET statement_timeout = 20000');
        await served(url);
        const { rows } = await client.query<{ hours: number }>(
          `SELECT round(extract(epoch FROM clock_timestamp() - to_timestamp($1)) / 3600)::int AS hours`,
          [Date.now() / 1_000],
        );
        expect(
          rows[0]!.hours === 24 * day,
          `the clock is ${rows[0]!.hours} hours off, not ${24 * day}`,
        );
        seen.push(`${day}`);
      });
    }
    child.kill('SIGTERM');
    const [code] = await closed;
    expect(code === 0, `it ended with ${String(code)}: ${output.text}`);
  }
  await node.start();
  await served(url);
  await node.stop();
  const verified = await node.verify('--key-file', path.join(node.directory, 'master.key'));
  expect(verified.code === 0, verified.stdout + verified.stderr);
  return `days ahead: ${seen.join(', ')}; each takes writes, and the ledger verifies`;
}
