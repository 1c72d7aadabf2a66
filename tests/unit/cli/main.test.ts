// The command as a person runs it: a real process; exit code, sentence, help.

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
      ['backup'],
      ['backup', 'check'],
      ['restore'],
      ['inspect', 'block'],
      ['inspect', 'row'],
      ['proof', 'export'],
      ['proof', 'check'],
      ['digest'],
      ['shard', 'list'],
      ['shard', 'split'],
      ['shard', 'merge'],
      ['shard', 'rebalance'],
      ['shard', 'move'],
      ['shard', 'vacuum'],
      ['shard', 'verify'],
      ['shard', 'repair'],
      ['role', 'reset-password'],
      ['role', 'admit'],
      ['cluster', 'key'],
      ['cluster', 'genesis'],
      ['cluster', 'invite'],
      ['cluster', 'join'],
      ['cluster', 'init'],
      ['config', 'get'],
      ['config', 'set'],
      ['config', 'approve'],
      ['config', 'submit'],
      ['node', 'status'],
      ['node', 'add'],
      ['node', 'remove'],
      ['node', 'move'],
      ['node', 'replace'],
      ['node', 'rotate-key'],
      ['cluster', 'demo'],
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
    expect(stdout).toContain('--data <directory>');
    expect(stdout).toContain('--log-level <level>');
    expect(stdout).not.toMatch(/<(text|choice)>/);
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
    [['backup', '--data', 'nowhere'], 2, "required option '--to <directory>' not specified"],
    [['backup', '--data', 'nowhere', '--to', 'backup'], 3, 'nowhere: no ledger here'],
    [['backup', 'check', '--from', 'nowhere'], 3, 'nowhere: no backup here'],
    [['backup', 'check'], 2, "required option '--from <directory>' not specified"],
    [['backup', 'check', '--from', 'x', '--chain-id', 'ab'], 2, '--chain-id: ab is not 64'],
    [['backup', 'check', '--from', 'x', '--digest', 'nowhere'], 3, 'nowhere: no such file'],
    [['restore', '--data', 'nowhere'], 2, "required option '--from <directory>' not specified"],
    [['restore', '--from', 'nowhere', '--data', 'x'], 3, 'nowhere: no backup here'],
    [['restore', '--from', 'x', '--height', '-1'], 2, '-1 is not the height of a block'],
    [['cluster', 'key'], 2, "required option '--name <name>' not specified"],
    [['cluster', 'init', '--nodes', '1'], 2, 'trustsql init makes a ledger of one node'],
    [['cluster', 'init', '--nodes', '17'], 2, '--nodes: a whole number from 2 to 16 is expected'],
    [['cluster', 'init', '--nodes', '4', '--port', '0'], 2, '0 cannot be'],
    [['cluster', 'init', '--nodes', '4', '--peer-port', '5435'], 2, 'overlap'],
    [['cluster', 'genesis', 'x.node.json', '--data', 'nowhere'], 3, 'nowhere'],
    [['cluster', 'join', '--genesis', 'x', '--chain-id', 'ab'], 2, '64 hexadecimal digits'],
    [['node', 'add', 'ab@x:1', '--data', 'nowhere'], 2, 'ab is not 64 hexadecimal digits'],
    [['node', 'add', 'node5', '--data', 'nowhere'], 2, '@<host>:<port>'],
    [['config', 'set', 'f=1', '--data', 'nowhere'], 3, 'nowhere/admin.url is missing'],
    [['start', '--config', 'nowhere.json'], 2, '--config: there is no file nowhere.json'],
    [['start', '--config', '/'], 2, 'the configuration file / cannot be read'],
    [['start', '--data', 'nowhere', '--peers', 'x'], 2, '--peers: "x" is not'],
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

describe('a cluster', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'trustsql-cluster-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = (...argument: string[]) => trustsql(['cluster', ...argument], { HOME: folder });

  test('of two organisations: keys, genesis, join', () => {
    const data = (name: string) => path.join(folder, name);
    const parts = ['ada', 'bob'].map((name) => {
      const address = ['--address', `${name}.example:5533`];
      const made = run('key', '--data', data(name), '--name', name, ...address, '--json');
      expect(made.status).toBe(0);
      return JSON.parse(made.stdout) as { part: string; nodeKey: string; masterKeyFile: string };
    });
    const out = data('genesis.json');
    const files = parts.map(({ part }) => part);
    const founded = run('genesis', ...files, '--data', data('ada'), '--out', out);
    expect(founded.status).toBe(0);
    expect(founded.stdout).toContain('there is no Byzantine tolerance');
    const chain = /--chain-id ([0-9a-f]{64})/.exec(founded.stdout)![1]!;
    const join = ['join', '--genesis', out, '--data', data('bob')];
    const other = run(...join, '--chain-id', '00'.repeat(32));
    expect(other.stderr).toContain('is not the one asked for');
    expect(other.status).toBe(3);
    const joined = run(...join, '--chain-id', chain, '--json');
    expect(JSON.parse(joined.stdout)).toMatchObject({
      chainId: chain,
      consensus: 'adaptive',
      nodes: parts.map(({ nodeKey }) => expect.objectContaining({ publicKey: nodeKey })),
      administrators: [{ role: 'admin_ada' }, { role: 'admin_bob' }],
      f: 0,
      quorums: { report: 2, fast: 2 },
    });
    // The master keys stay where they were made, named after their nodes.
    const { masterKeyFile } = parts[1]!;
    expect(masterKeyFile.startsWith(path.join(folder, '.config', 'trustsql'))).toBe(true);
    expect(readdirSync(path.dirname(masterKeyFile))).toHaveLength(2);
  });

  test('on one machine has nodes that differ in keys and ports, and share the administrator', () => {
    const data = path.join(folder, 'cluster');
    const init = ['init', '--nodes', '4', '--data', data, '--consensus', 'bft', '--readers', '1'];
    const made = run(...init, '--port', '7001', '--peer-port', '7101', '--json');
    expect({ status: made.status, stderr: made.stderr }).toEqual({ status: 0, stderr: '' });
    const { nodes, f, local } = JSON.parse(made.stdout) as {
      nodes: { publicKey: string; address: string }[];
      f: number;
      local: { data: string; configFile: string }[];
    };
    expect(f).toBe(1);
    expect(new Set(nodes.map(({ publicKey }) => publicKey)).size).toBe(4);
    expect(nodes.map(({ address }) => address)).toEqual(
      [7101, 7102, 7103, 7104].map((port) => `127.0.0.1:${port}`),
    );
    const passwords = local.map(({ data: node, configFile }, index) => {
      const options = JSON.parse(readFileSync(configFile, 'utf8')) as Record<string, unknown>;
      const [port, peerPort] = [7001 + index, 7101 + index];
      expect(options).toEqual({ data: node, port, peerPort, readers: 1 });
      const url = new URL(readFileSync(path.join(node, 'admin.url'), 'utf8').trim());
      expect([url.username, url.port]).toEqual(['admin', String(port)]);
      const shown = trustsql(['inspect', 'block', '0', '--data', node]);
      expect(shown.stdout).toContain(nodes[0]!.publicKey);
      return url.password;
    });
    const url = readFileSync(path.join(data, 'admin.url'), 'utf8');
    expect(new Set(passwords)).toEqual(new Set([/:\/\/admin:(.*)@/.exec(url)![1]]));
    expect(url).toContain('127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003,127.0.0.1:7004/ledger?');
    expect(made.stdout).not.toContain(passwords[0]);
    expect(run(...init).stderr).toContain('not empty');
  });
});
