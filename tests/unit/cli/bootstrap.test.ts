// The way in for every command: it finds the right Node and hands arguments, exit codes and signals through.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const BOOTSTRAP = path.join(ROOT, 'cli', 'bootstrap.mjs');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'trustsql-bootstrap-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A program, by its path below the root of the project. */
function program(text: string): string {
  const file = path.join(folder, 'program.ts');
  writeFileSync(file, text);
  return path.relative(ROOT, file);
}

test('a program gets its arguments, runs under Node 24 and its exit code counts', () => {
  const file = program(
    'const list: string[] = process.argv.slice(2);' +
      'console.log(process.versions.node.split(".")[0], ...list); process.exitCode = 7;',
  );
  const { status, stdout } = spawnSync(process.execPath, [BOOTSTRAP, file, 'a b', '--c'], {
    encoding: 'utf8',
  });
  expect(Number(stdout.split(' ')[0])).toBeGreaterThanOrEqual(24);
  expect(stdout).toMatch(/ a b --c\n$/);
  expect(status).toBe(7);
});

test('SIGTERM reaches a program that runs in a second process', async () => {
  const file = program(
    'process.on("SIGTERM", () => process.exit(9)); console.log("ready"); setInterval(() => {}, 1000);',
  );
  const launcher = path.join(folder, 'launcher.mjs');
  const options = JSON.stringify(['--no-warnings']);
  writeFileSync(
    launcher,
    `import { run } from ${JSON.stringify(BOOTSTRAP)}; await run(${JSON.stringify(file)}, [], ${options});`,
  );
  const child = spawn(process.execPath, [launcher], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([9, null]);
});
