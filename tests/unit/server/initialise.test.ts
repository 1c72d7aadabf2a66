// A new data directory: complete or not there, secrets for the owner only, nothing of others touched.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeGenesis } from '../../../ledger/encoding.ts';
import { deriveVerifier } from '../../../identity/password.ts';
import { systemClock } from '../../../server/clock.ts';
import { readConfig } from '../../../server/config.ts';
import type { Config } from '../../../server/config.ts';
import { initialise, openSecrets } from '../../../server/initialise.ts';
import { BlockStore } from '../../../storage/block-store.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';

let folder: string;
let config: Config;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trustsql-initialise-'));
  const flags = { data: join(folder, 'data'), keyFile: join(folder, 'master.key') };
  config = readConfig({ flags, environment: {}, file: null });
});
afterEach(() => rmSync(folder, { recursive: true }));

function make(): ReturnType<typeof initialise> {
  return initialise(config, nativeCrypto, systemClock);
}

test('the admin of genesis answers to the password of admin.url, and the node to its key', () => {
  const made = make();
  const url = new URL(readFileSync(join(config.data, 'admin.url'), 'utf8').trim());
  expect(url.href).toBe(made.adminUrl);
  expect(url.pathname).toBe('/ledger');
  const blocks = new BlockStore(config.data, { readonly: true });
  const genesis = decodeGenesis(blocks.read(0)!.body);
  blocks.close();
  const role = genesis.catalog.find((change) => 'put' in change && change.put === 'role');
  if (role === undefined || !('put' in role) || role.put !== 'role') throw new Error('no role');
  const { name, publicKey, verifierCommitment } = role.object;
  expect(name).toBe(url.username);
  const secrets = openSecrets(config, nativeCrypto, systemClock);
  const verifier = secrets.keyring.verifierOf(verifierCommitment!)!;
  expect(deriveVerifier(url.password, verifier.salt, verifier.iterations)).toEqual(verifier);
  expect(secrets.keyring.keyOf(publicKey!)).toBeDefined();
  expect(genesis.nodes).toEqual([{ publicKey: secrets.nodeKey.publicKey, address: '' }]);
  expect(secrets.tls?.fingerprint).toHaveLength(32);
  expect(Buffer.from(secrets.data.chainId).toString('hex')).toBe(made.chainId);
  secrets.keyring.close();
});

test('secrets are for the owner only, and the password is in admin.url alone', () => {
  const password = new URL(make().adminUrl).password;
  expect(statSync(config.data).mode & 0o077).toBe(0);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const holds = readFileSync(path).includes(password);
    expect({ path, holds }).toEqual({ path, holds: entry.name === 'admin.url' });
    if (/key|url|identity/.test(entry.name)) expect(statSync(path).mode & 0o077).toBe(0);
  }
});

test('a ledger that is there stays as it is', () => {
  make();
  const before = readFileSync(join(config.data, 'keys', 'node.key'));
  expect(make).toThrow('there is a ledger here already');
  rmSync(join(config.data, 'trustsql.json'));
  writeFileSync(join(config.data, 'notes.txt'), 'mine');
  expect(make).toThrow('not empty, and no ledger (notes.txt)');
  expect(readFileSync(join(config.data, 'keys', 'node.key'))).toEqual(before);
});

test('an attempt that was interrupted before the marker is made anew', () => {
  const first = make();
  rmSync(join(config.data, 'trustsql.json'));
  const second = make();
  expect(second.chainId).not.toBe(first.chainId);
  openSecrets(config, nativeCrypto, systemClock).keyring.close();
});

test('a directory of something else is refused and left alone', () => {
  mkdirSync(join(config.data, 'keys'), { recursive: true });
  writeFileSync(join(config.data, 'holiday.jpg'), '');
  expect(make).toThrow('not empty, and no ledger (holiday.jpg)');
  expect(existsSync(join(config.data, 'holiday.jpg'))).toBe(true);
});

test('without the master key nothing opens', () => {
  make();
  rmSync(config.keyFile);
  expect(() => openSecrets(config, nativeCrypto, systemClock)).toThrow('the master key is missing');
});
