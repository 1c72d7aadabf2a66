// What a large load has stored ahead of its transaction goes when the transaction does not come.

import { expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram, NodeProcess, run, trustsql } from './process.ts';

const TIMEOUT_MS = 120_000;
const WAIT_MS = 30_000;
const ROWS = 60_000;

const psql = findProgram('psql');

/** Chunks in the first block file. */
function chunksIn(data: string): number {
  const file = path.join(data, 'chain/blocks-000000000000.sqlite');
  const database = new Database(file, { readonly: true });
  try {
    return database.prepare('SELECT count(*) FROM chunk').pluck().get() as number;
  } finally {
    database.close();
  }
}

/** Waits until the number of chunks is as it should be; answers with the last number seen. */
async function settled(data: string, wanted: (count: number) => boolean): Promise<number> {
  const end = Date.now() + WAIT_MS;
  while (!wanted(chunksIn(data)) && Date.now() < end) await delay(50);
  return chunksIn(data);
}

const none = (count: number): boolean => count === 0;

(psql === undefined ? test.skip : test)(
  'chunks of a COPY that was rolled back, failed, or lost its client or its node, go',
  async () => {
    await using node = await NodeProcess.start();
    const file = path.join(node.directory, 'rows');
    const rows = Array.from({ length: ROWS }, (_, id) => `${id}\t${'x'.repeat(60)}${id}\n`);
    writeFileSync(file, rows.join(''));
    const url = await node.clearUrl();
    const ask = (input: string) => run(psql!, ['-qX', url], { input });
    await ask('CREATE TABLE t (id int PRIMARY KEY, body text);');

    await ask(`BEGIN;\n\\copy t FROM '${file}'\nROLLBACK;`);
    expect(await settled(node.data, none)).toBe(0);

    writeFileSync(`${file}.bad`, `${rows.join('')}bad\n`);
    const failed = await ask(`\\copy t FROM '${file}.bad'`);
    expect(failed.stderr).toContain('invalid input syntax for type integer: "bad"');
    expect(await settled(node.data, none)).toBe(0);

    const waiting = [
      `BEGIN;\n\\copy t FROM '${file}'\nSELECT pg_sleep(20);`,
      `\\copy t FROM PROGRAM 'cat ${file}; sleep 20'`,
    ];
    for (const text of waiting) {
      const client = spawn(psql!, ['-qX', url], { stdio: ['pipe', 'ignore', 'ignore'] });
      client.stdin.end(text);
      expect(await settled(node.data, (count) => count > 0)).toBeGreaterThan(0);
      client.kill('SIGKILL');
      await once(client, 'exit');
      expect(await settled(node.data, none)).toBe(0);
    }

    const client = spawn(psql!, ['-qX', url], { stdio: ['pipe', 'ignore', 'ignore'] });
    client.stdin.end(waiting[0]);
    expect(await settled(node.data, (count) => count > 0)).toBeGreaterThan(0);
    await node.kill();
    expect(chunksIn(node.data)).toBeGreaterThan(0);
    expect(await trustsql('verify', ...node.flags)).toMatchObject({ code: 0 });
    await node.start();
    expect(chunksIn(node.data)).toBe(0);

    const savepoint = `SAVEPOINT s;\n\\copy t FROM '${file}'\nROLLBACK TO s;\n`;
    await ask(`BEGIN;\n${savepoint}${savepoint}\\copy t FROM '${file}'\nCOMMIT;`);
    const kept = chunksIn(node.data);
    expect(kept).toBeGreaterThan(0);
    const { stdout } = await run(psql!, ['-AtX', url, '-c', 'SELECT count(*), sum(id) FROM t']);
    expect(stdout.trim()).toBe(`${ROWS}|${(ROWS * (ROWS - 1)) / 2}`);
    await node.stop();
    await node.start();
    expect(chunksIn(node.data)).toBe(kept);
    await node.stop();
    expect(await trustsql('verify', ...node.flags)).toMatchObject({ code: 0 });
  },
  TIMEOUT_MS,
);
