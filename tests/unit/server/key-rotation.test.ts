// A key that waits takes the place of the node's when its time has come, and not before; a crash leaves one of both.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { markNextNodeKeyDue, newNodeKey } from '../../../identity/node-key.ts';
import type { NodeKey } from '../../../identity/node-key.ts';
import { genesisConfig } from '../../../ledger/epoch.ts';
import type { EpochConfig } from '../../../ledger/epoch.ts';
import { systemClock } from '../../../server/clock.ts';
import { readConfig } from '../../../server/config.ts';
import type { Config } from '../../../server/config.ts';
import { initialise, openSecrets } from '../../../server/initialise.ts';
import { keepRotation, rotatedKey } from '../../../server/key-rotation.ts';
import { makeLog } from '../../../server/log.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';

const log = makeLog({ level: 'error', format: 'json', clock: systemClock, write: () => undefined });

let folder: string;
let config: Config;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trustsql-rotation-'));
  const flags = { data: join(folder, 'data'), keyFile: join(folder, 'master.key') };
  config = readConfig({ flags, environment: {}, file: null });
  initialise(config, crypto, systemClock);
});
afterEach(() => rmSync(folder, { recursive: true }));

function keyNow(): NodeKey {
  const { nodeKey, keyring } = openSecrets(config, crypto, systemClock);
  keyring.close();
  return nodeKey;
}

function rulesOf(...keys: readonly Uint8Array[]): EpochConfig {
  const nodes = keys.map((publicKey) => ({ publicKey, address: '' }));
  return genesisConfig({ nodes, consensus: 'raft', catalog: [], createdMs: 0 });
}

const start = (rules: EpochConfig): Uint8Array =>
  rotatedKey(config, crypto, keyNow(), rules, log).publicKey;

const keyFiles = (): string[] =>
  readdirSync(join(config.data, 'keys')).filter((name) => name.startsWith('node.'));

test('the old key stays until the rules list the new one', () => {
  const old = keyNow();
  const next = newNodeKey(crypto);
  expect(start(rulesOf(old.publicKey))).toEqual(old.publicKey);
  keepRotation(config, next);
  expect(start(rulesOf(old.publicKey))).toEqual(old.publicKey);
  expect(keyFiles()).toEqual(['node.key', 'node.key.next']);
  expect(start(rulesOf(next.publicKey))).toEqual(next.publicKey);
  expect(keyFiles()).toEqual(['node.key']);
  expect(keyNow().seed).toEqual(Buffer.from(next.seed));
});

test('one that is due is taken by a node whose blocks do not list it yet', () => {
  const old = keyNow();
  const next = newNodeKey(crypto);
  keepRotation(config, next);
  markNextNodeKeyDue(config.data);
  const images = join(config.data, 'analyst');
  mkdirSync(images);
  expect(start(rulesOf(old.publicKey))).toEqual(next.publicKey);
  expect(existsSync(images)).toBe(false);
  expect(start(rulesOf(old.publicKey))).toEqual(next.publicKey);
});

test('a master key that is named after the node is found at every step', () => {
  const child = join(import.meta.dirname, 'rotation-child.ts');
  // The system's own idea of a home is asked for the default places of master keys.
  const env = { ...process.env, HOME: folder };
  const { stdout, stderr } = spawnSync(process.execPath, [child, join(folder, 'other')], {
    env,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  const { old, next, steps } = JSON.parse(stdout) as {
    old: string;
    next: string;
    steps: Record<string, string[]>;
  };
  expect(steps).toEqual({
    before: [old, `${old}.key`],
    waiting: [old, ...[`${old}.key`, `${next}.key`].sort()],
    after: [next, `${next}.key`],
  });
});
