// The promise of the README, on a fresh clone: `npm start`, paste the line it prints, and a node answers.
// Shell; run by .ci/run.
//
// The clone has no node_modules; `npm start` installs them. Its home is a temporary directory as well, so that
// nothing of this machine's user is used or left behind, but for npm's cache.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort, PROJECT, run } from '../end-to-end/process.ts';

/** With the packages still to be installed, a start may take so long, in ms. */
const START_TIMEOUT_MS = 300_000;

interface Started {
  readonly child: ChildProcess;
  /** The line to paste. */
  readonly line: string;
}

async function npmStart(clone: string, env: NodeJS.ProcessEnv, port: number): Promise<Started> {
  const parameters = ['start', '--', '--port', String(port)];
  // A group of its own: npm, the bootstrap and the node are ended together if need be.
  const child = spawn('npm', parameters, { cwd: clone, env, detached: true });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const line = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready:\n${output}`)), START_TIMEOUT_MS);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const found = /^psql .*$/m.exec(output)?.[0];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
    child.once('close', (code) => reject(new Error(`ended with ${String(code)}:\n${output}`)));
  });
  return { child, line };
}

async function stop({ child }: Started): Promise<void> {
  const closed = once(child, 'close');
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
  await closed;
}

/** Pastes the line, as a person does, with statements on standard input. */
async function paste(line: string, clone: string, statements: string): Promise<string> {
  const input = `${statements}\n`;
  const { code, stdout, stderr } = await run(
    'bash',
    ['-c', `${line} -X -A -t -v ON_ERROR_STOP=1`],
    {
      input,
      cwd: clone,
    },
  );
  if (code !== 0) throw new Error(`${line}: ${stderr}`);
  return stdout.trim();
}

async function main(): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-clone-'));
  const clone = path.join(directory, 'clone');
  try {
    const cloned = await run('git', ['clone', '-q', '--no-hardlinks', PROJECT, clone]);
    if (cloned.code !== 0) throw new Error(cloned.stderr);
    const cache = (await run('npm', ['config', 'get', 'cache'])).stdout.trim();
    const env = { ...process.env, HOME: directory, npm_config_cache: cache };
    const port = await freePort();

    const first = await npmStart(clone, env, port);
    await paste(first.line, clone, `CREATE TABLE t (v text); INSERT INTO t VALUES ('kept');`);
    await stop(first);
    console.log('npm start in a fresh clone: a node, and psql by the line it printed');

    const second = await npmStart(clone, env, port);
    const found = await paste(second.line, clone, 'SELECT v FROM t;');
    await stop(second);
    if (found !== 'kept') throw new Error(`after the second start: ${found}`);
    console.log('npm start again: it continues from ./data');
    return 0;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

process.exitCode = await main();
