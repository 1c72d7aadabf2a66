// A Python program on psycopg 3 that uses a node as it would use Postgres. Shell; run by .ci/run.
//
// psycopg is installed with pip into a virtual environment that is removed afterwards. Without Python or
// without a package index this is skipped, and says so; where CI is set that is a failure.

import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { NodeProcess, run } from '../end-to-end/process.ts';

const PACKAGE = 'psycopg[binary]>=3.2,<3.3';
const PROGRAM = path.join(import.meta.dirname, 'psycopg-program.py');

async function install(directory: string): Promise<string | undefined> {
  const environment = path.join(directory, 'venv');
  const made = await run('python3', ['-m', 'venv', environment]).catch(() => undefined);
  const python = path.join(environment, 'bin/python');
  if (made?.code !== 0 || !existsSync(python)) return undefined;
  const installed = await run(python, ['-m', 'pip', 'install', '-q', PACKAGE]);
  return installed.code === 0 ? python : undefined;
}

async function main(): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-psycopg-'));
  try {
    const python = await install(directory);
    if (python === undefined) {
      console.log('skipped: psycopg could not be installed');
      return process.env['CI'] === undefined ? 0 : 1;
    }
    const given = process.env['GOLDEN_URL'];
    await using node = given === undefined ? await NodeProcess.start() : undefined;
    const url = given ?? (await node?.adminUrl()) ?? '';
    const { code, stdout, stderr } = await run(python, [PROGRAM, url]);
    console.log(`${stdout}${stderr}`.trim());
    return code ?? 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

process.exitCode = await main();
