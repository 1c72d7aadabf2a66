// Transactions of more than one block in a cluster of real processes: whole at every node, or at none.

import { describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterProcess, query } from './cluster-process.ts';
import { findProgram, run } from './process.ts';
import type { NodeProcess } from './process.ts';

const TIMEOUT_MS = 600_000;
const ROWS = 150_000;
/** After the beginning of a COPY. */
const KILL_MS = 300;
/** Still more than a block. */
const FEWER_ROWS = 30_000;

const psql = findProgram('psql');

function rowsFile(directory: string, from: number, count: number): string {
  const file = path.join(directory, `rows-${from}`);
  const rows = Array.from({ length: count }, (_, i) => `${from + i}\t${'x'.repeat(60)}${i}\n`);
  writeFileSync(file, rows.join(''));
  return file;
}

/** What psql says of `\copy`: nothing when it is well. */
async function copy(node: NodeProcess, file: string, after = ''): Promise<string> {
  const input = `BEGIN;\n\\copy big FROM '${file}'\n${after === '' ? 'COMMIT;' : after}\n`;
  const { stderr } = await run(psql!, ['-qX', '-v', 'ON_ERROR_STOP=1', await node.clearUrl()], {
    input,
  });
  return stderr;
}

/** Inserts small rows, one after the other, until it is told to stop. @returns how many */
function writing(node: NodeProcess): { readonly stop: () => Promise<number> } {
  let on = true;
  const written = (async () => {
    let count = 0;
    for (; on; count++) await query(node, `INSERT INTO small (at) VALUES (${count})`);
    return count;
  })();
  return {
    stop: () => {
      on = false;
      return written;
    },
  };
}

async function rowsAt(node: NodeProcess): Promise<unknown> {
  const text =
    'SELECT count(*)::int AS n, sum(id)::bigint::text AS sum, count(body)::int AS bodies FROM big';
  return (await query(node, text))[0];
}

const sumTo = (count: number): string => String((count * (count - 1)) / 2);

/** Makes a chunk another one. */
function damage(data: string): void {
  const database = new Database(path.join(data, 'chain/blocks-000000000000.sqlite'));
  database.exec("UPDATE chunk SET bytes = bytes || x'00' WHERE id = (SELECT min(id) FROM chunk)");
  database.close();
}

(psql === undefined ? describe.skip : describe).each(['raft', 'bft'] as const)(
  'a cluster in %s mode',
  (mode) => {
    test(
      'takes transactions of more than one block',
      async () => {
        await using cluster = await ClusterProcess.found(4, mode);
        const { nodes, directory } = cluster;
        const [first, second, third, late] = nodes as [
          NodeProcess,
          NodeProcess,
          NodeProcess,
          NodeProcess,
        ];
        const early = [first, second, third];
        await Promise.all(early.map((node) => node.start()));
        await query(
          first,
          'CREATE TABLE big (id int PRIMARY KEY, body text NOT NULL)',
          'CREATE TABLE small (id bigserial PRIMARY KEY, at int)',
        );
        await cluster.agreed(early);

        // Others write meanwhile.
        const writes = writing(second);
        expect(await copy(first, rowsFile(directory, 0, ROWS))).toBe('');
        expect(await writes.stop()).toBeGreaterThan(5);
        await cluster.agreed(early);

        // A node that has not been there gets the chunks as well as the blocks.
        await late.start();
        await cluster.agreed();
        for (const node of nodes) {
          expect(await rowsAt(node)).toEqual({ n: ROWS, sum: sumTo(ROWS), bodies: ROWS });
        }

        // One that dies in the middle is no loss, and comes back.
        const copying = copy(first, rowsFile(directory, ROWS, FEWER_ROWS));
        await delay(KILL_MS);
        await third.kill();
        expect(await copying).toBe('');
        await third.start();
        await cluster.agreed();

        // What is not committed is at no node, and a conflict undoes all of it.
        const all = ROWS + FEWER_ROWS;
        const more = rowsFile(directory, all, FEWER_ROWS);
        expect(await copy(second, more, 'ROLLBACK;')).toBe('');
        const conflicting = rowsFile(directory, all - 1, FEWER_ROWS);
        expect(await copy(second, conflicting)).toContain('duplicate key');
        await query(second, 'INSERT INTO small (at) VALUES (0)');
        await cluster.agreed();
        for (const node of nodes) {
          expect(await rowsAt(node)).toEqual({ n: all, sum: sumTo(all), bodies: all });
        }

        for (const node of nodes) expect(await node.stop()).toBe(0);
        for (const node of nodes) {
          const { code, stdout } = await node.verify();
          expect({ code, stdout }).toMatchObject({ code: 0 });
        }
        damage(third.data);
        expect(await third.verify()).toMatchObject({ code: 1 });
      },
      TIMEOUT_MS,
    );
  },
);
