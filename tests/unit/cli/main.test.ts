// The command as a person runs it: a real process; exit code, sentence, help.

import { describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { OPTIONS, flagOf } from '../../../server/config.ts';

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const PATH = process.env['PATH'];

function trustsql(argument: readonly string[], environment: Record<string, string> = {}) {
  const main = path.join(ROOT, 'cli', 'trustsql.mjs');
  const env = { PATH, ...environment };
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...argument], {
    env,
    encoding: 'utf8',
    cwd: tmpdir(),
  });
  return { status, stdout, stderr };
}

describe('help', () => {
  test('of each command is there and ends with 0', () => {
    const paths = [
      [],
      ['init'],
      ['sql'],
      ['verify'],
      ['inspect', 'block'],
      ['inspect', 'row'],
      ['proof', 'export'],
      ['proof', 'check'],
      ['digest'],
      ['shard', 'list'],
      ['role', 'reset-password'],
    ];
    for (const names of paths) {
      const { status, stdout } = trustsql([...names, '--help']);
      expect({ names, status }).toEqual({ names, status: 0 });
      expect(stdout).toContain(['Usage: trustsql', ...names].join(' '));
    }
  });

  test('of start lists every option there is', () => {
    const { stdout } = trustsql(['start', '--help']);
    for (const [name, option] of Object.entries(OPTIONS)) {
      expect(stdout).toContain(option.initial === true ? `--no-${name}` : flagOf(name));
    }
  });
});

describe('mistakes', () => {
  test.each<[string[], number, string]>([
    [['strat'], 2, 'Did you mean start?'],
    [['start', '--prot', '1'], 2, 'Did you mean --port?'],
    [['proof'], 2, 'Usage: trustsql proof'],
    [['inspect', 'tx', 'abc'], 2, 'a transaction id has 64 hexadecimal digits'],
    [['inspect', 'block', '1', '--data', 'nowhere'], 3, 'nowhere: no ledger here'],
    [['sql', 'select 1', '--data', 'nowhere'], 3, 'nowhere/admin.url is missing'],
    [['sql', 'select 1', '--url', 'http://x'], 2, 'a URL of the form postgresql://'],
    [['sql', 'select 1', '--url', 'postgresql://a@127.0.0.1:1/b'], 3, 'no node answers there'],
  ])('trustsql %j', (argument, status, sentence) => {
    const result = trustsql(argument);
    expect(result.stderr).toContain(sentence);
    expect(result.status).toBe(status);
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });

  test('in the environment are named', () => {
    const { status, stderr } = trustsql(['sql', 'select 1'], { TRUSTSQL_PROT: '1' });
    expect(stderr).toBe('trustsql: unknown option TRUSTSQL_PROT; did you mean TRUSTSQL_PORT?\n');
    expect(status).toBe(2);
  });

  test('a file that is no proof proves nothing', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'trustsql-cli-'));
    const file = path.join(folder, 'bundle.json');
    writeFileSync(file, '{"format":"something"}');
    const check = ['proof', 'check', file, '--node-key'];
    expect(trustsql([...check, 'ab'.repeat(32)])).toMatchObject({ status: 1, stdout: '' });
    writeFileSync(file, '{}');
    expect(trustsql([...check, 'short']).status).not.toBe(0);
    rmSync(folder, { recursive: true });
  });
});
