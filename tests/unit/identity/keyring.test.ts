// The keyring and the node key: nothing in the clear on disk, nothing swapped unseen.

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Keyring, keyringFile } from '../../../identity/keyring.ts';
import { makeMasterKey, readMasterKey, writeMasterKey } from '../../../identity/master-key.ts';
import { makeNodeKey, openNodeKey, readNodePublicKey } from '../../../identity/node-key.ts';
import { formatVerifier, verifierOfPassword } from '../../../identity/password.ts';
import { hex } from '../../../ledger/bytes.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { openDatabase } from '../../../storage/sqlite.ts';

let directory: string;
let masterKey: Uint8Array;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trustsql-keyring-'));
  masterKey = makeMasterKey();
});
afterEach(() => rmSync(directory, { recursive: true }));

function faultOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return (error as { fault?: unknown }).fault;
  }
  return undefined;
}

describe('keyring', () => {
  test('a key is there after reopening and signs for its public key', () => {
    const first = Keyring.create(directory, nativeCrypto, masterKey);
    const publicKey = first.makeKey();
    first.close();
    const again = Keyring.open(directory, nativeCrypto, masterKey);
    const { seed } = again.keyOf(publicKey)!;
    const message = new TextEncoder().encode('a message');
    const signature = nativeCrypto.sign(seed, message);
    expect(nativeCrypto.verify(publicKey, message, signature)).toBe(true);
    expect(again.keyOf(new Uint8Array(32))).toBeUndefined();
    again.removeKey(publicKey);
    expect(again.keyOf(publicKey)).toBeUndefined();
    again.close();
  });

  test('a verifier is found by its commitment only, and two commitments to one verifier differ', () => {
    const keyring = Keyring.create(directory, nativeCrypto, masterKey);
    const verifier = verifierOfPassword('correct horse');
    const one = keyring.putVerifier(verifier);
    const two = keyring.putVerifier(verifier);
    expect(hex(one)).not.toBe(hex(two));
    expect(keyring.verifierOf(one)).toEqual(verifier);
    expect(keyring.verifierOf(new Uint8Array(32))).toBeUndefined();
    keyring.removeVerifier(one);
    expect(keyring.verifierOf(one)).toBeUndefined();
    expect(keyring.verifierOf(two)).toEqual(verifier);
    keyring.close();
  });

  test('another master key, another keyring in its place and a missing file are refused', () => {
    Keyring.create(directory, nativeCrypto, masterKey).close();
    expect(faultOf(() => Keyring.open(directory, nativeCrypto, makeMasterKey()))).toBe('damaged');
    expect(faultOf(() => Keyring.create(directory, nativeCrypto, masterKey))).toBe('foreign');
    expect(faultOf(() => Keyring.open(join(directory, 'no'), nativeCrypto, masterKey))).toBe('io');
  });

  test('an entry that was swapped for another or edited is found', () => {
    const keyring = Keyring.create(directory, nativeCrypto, masterKey);
    const [a, b] = [keyring.makeKey(), keyring.makeKey()];
    const mine = keyring.putVerifier(verifierOfPassword('mine'));
    const other = keyring.putVerifier(verifierOfPassword('other'));
    expect(keyring.check()).toEqual([]);
    keyring.close();
    const database = openDatabase(keyringFile(directory));
    const boxOf = (table: string, column: string, name: Uint8Array): unknown =>
      database.prepare(`SELECT box FROM ${table} WHERE ${column} = ?`).pluck().get(name);
    database
      .prepare('UPDATE role_keys SET box = ? WHERE public_key = ?')
      .run(boxOf('role_keys', 'public_key', b), a);
    database
      .prepare('UPDATE verifiers SET box = ? WHERE commitment = ?')
      .run(boxOf('verifiers', 'commitment', other), mine);
    database.close();
    const again = Keyring.open(directory, nativeCrypto, masterKey);
    expect(faultOf(() => again.keyOf(a))).toBe('damaged');
    expect(faultOf(() => again.verifierOf(mine))).toBe('damaged');
    expect(again.verifierOf(other)).toBeDefined();
    const faults = again.check();
    expect(faults).toHaveLength(2);
    expect(faults[0]).toContain(hex(a));
    again.close();
  });

  test('the master key changes for all entries at once', () => {
    const keyring = Keyring.create(directory, nativeCrypto, masterKey);
    const publicKey = keyring.makeKey();
    const commitment = keyring.putVerifier(verifierOfPassword('x'));
    const next = makeMasterKey();
    keyring.changeMasterKey(next);
    keyring.close();
    expect(faultOf(() => Keyring.open(directory, nativeCrypto, masterKey))).toBe('damaged');
    const again = Keyring.open(directory, nativeCrypto, next);
    expect(again.keyOf(publicKey)?.publicKey).toEqual(publicKey);
    expect(again.verifierOf(commitment)).toBeDefined();
    expect(again.check()).toEqual([]);
    again.close();
  });

  test('no file holds a secret in the clear, and no file can be read by others', () => {
    const keyring = Keyring.create(directory, nativeCrypto, masterKey);
    const verifier = verifierOfPassword('s3cret-password');
    keyring.putVerifier(verifier);
    const { seed } = keyring.keyOf(keyring.makeKey())!;
    const node = makeNodeKey(directory, nativeCrypto, masterKey);
    const secrets = [
      Buffer.from('s3cret-password'),
      Buffer.from(formatVerifier(verifier)),
      ...[seed, node.seed, verifier.storedKey, verifier.serverKey].flatMap((bytes) => [
        Buffer.from(bytes),
        Buffer.from(hex(bytes)),
        Buffer.from(Buffer.from(bytes).toString('base64')),
      ]),
    ];
    // Before the keyring closes, so that its WAL file is searched too.
    const files = readdirSync(directory, { recursive: true, withFileTypes: true });
    const found = files.filter((entry) => entry.isFile());
    expect(found.length).toBeGreaterThanOrEqual(3);
    for (const entry of found) {
      const path = join(entry.parentPath, entry.name);
      expect(statSync(path).mode & 0o077).toBe(0);
      const content = readFileSync(path);
      for (const secret of secrets) expect(content.includes(secret)).toBe(false);
    }
    keyring.close();
  });
});

describe('node key', () => {
  test('opens with the master key it was made with, and with no other', () => {
    const made = makeNodeKey(directory, nativeCrypto, masterKey);
    expect(openNodeKey(directory, nativeCrypto, masterKey)).toEqual({
      publicKey: made.publicKey,
      seed: Buffer.from(made.seed),
    });
    expect(readNodePublicKey(directory)).toEqual(made.publicKey);
    expect(faultOf(() => openNodeKey(directory, nativeCrypto, makeMasterKey()))).toBe('damaged');
    expect(faultOf(() => makeNodeKey(directory, nativeCrypto, masterKey))).toBe('foreign');
    writeFileSync(join(directory, 'keys', 'node.key'), '{}');
    expect(faultOf(() => openNodeKey(directory, nativeCrypto, masterKey))).toBe('damaged');
  });
});

describe('master key', () => {
  test('is written once, for its owner only', () => {
    const path = join(directory, 'deep', 'chain.key');
    writeMasterKey(path, masterKey);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readMasterKey(path)).toEqual(masterKey);
    expect(faultOf(() => writeMasterKey(path, makeMasterKey()))).toBe('foreign');
    expect(readMasterKey(path)).toEqual(masterKey);
  });

  test('is refused when missing, malformed or readable by others', () => {
    expect(() => readMasterKey(join(directory, 'none.key'))).toThrow('the master key is missing');
    const short = join(directory, 'short.key');
    writeFileSync(short, 'abcd\n', { mode: 0o600 });
    expect(faultOf(() => readMasterKey(short))).toBe('damaged');
    const open = join(directory, 'open.key');
    writeFileSync(open, `${hex(masterKey)}\n`, { mode: 0o644 });
    expect(() => readMasterKey(open)).toThrow('others may read the master key');
  });
});
