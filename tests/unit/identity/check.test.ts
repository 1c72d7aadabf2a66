// The keyring answers to the chain, or says what is missing.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkKeyring } from '../../../identity/check.ts';
import { Keyring, keyringFile } from '../../../identity/keyring.ts';
import { makeMasterKey } from '../../../identity/master-key.ts';
import { verifierOfPassword } from '../../../identity/password.ts';
import type { Role } from '../../../ledger/catalog.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { openDatabase } from '../../../storage/sqlite.ts';

let directory: string;
let keyring: Keyring;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trustsql-check-'));
  keyring = Keyring.create(directory, nativeCrypto, makeMasterKey());
});
afterEach(() => {
  keyring.close();
  rmSync(directory, { recursive: true });
});

function role(name: string, fields: Partial<Role>): Role {
  return {
    id: 100,
    name,
    superuser: false,
    login: true,
    inherit: true,
    createRole: false,
    createDatabase: false,
    connectionLimit: -1,
    validUntil: null,
    memberOf: [],
    publicKey: null,
    custody: null,
    verifierCommitment: null,
    ...fields,
  };
}

test('a role whose key and password are there, and roles that need none, are sound', () => {
  const publicKey = keyring.makeKey();
  const verifierCommitment = keyring.putVerifier(verifierOfPassword('x'));
  const elsewhere = new Uint8Array(32).fill(7);
  const roles = [
    role('ada', { publicKey, custody: 'hosted', verifierCommitment }),
    role('group', { login: false }),
    role('own', { publicKey: elsewhere, custody: 'own' }),
  ];
  expect(checkKeyring(keyring, roles, true)).toEqual([]);
});

test('tables that are not as they were made are a fault, whatever they hold', () => {
  const database = openDatabase(keyringFile(directory));
  database.exec('CREATE TABLE more (a)');
  expect(checkKeyring(keyring, [], true)).toEqual([
    `${keyringFile(directory)}: its tables are other ones`,
  ]);
  database.exec('DROP TABLE more');
  expect(checkKeyring(keyring, [], true)).toEqual([]);
  database.close();
});

test('a missing key and a swapped password are named with their role', () => {
  const publicKey = keyring.makeKey();
  const verifierCommitment = keyring.putVerifier(verifierOfPassword('x'));
  keyring.removeKey(publicKey);
  keyring.removeVerifier(verifierCommitment);
  keyring.putVerifier(verifierOfPassword('the intruder’s'));
  const roles = [role('ada', { publicKey, custody: 'hosted', verifierCommitment })];
  const faults = checkKeyring(keyring, roles, true);
  expect(faults).toHaveLength(2);
  expect(faults[0]).toContain('the key of role "ada" is missing');
  expect(faults[1]).toBe('the password of role "ada" is not the one the chain committed to');
});

test('where other nodes host roles, only what is here must be sound', () => {
  const publicKey = keyring.makeKey();
  const verifierCommitment = keyring.putVerifier(verifierOfPassword('x'));
  const elsewhere = new Uint8Array(32).fill(7);
  const roles = [
    role('ours', { publicKey, custody: 'hosted', verifierCommitment }),
    role('theirs', { publicKey: elsewhere, custody: 'hosted', verifierCommitment: elsewhere }),
  ];
  expect(checkKeyring(keyring, roles, false)).toEqual([]);
  expect(checkKeyring(keyring, roles, true)).toHaveLength(2);
  const database = openDatabase(keyringFile(directory));
  database.prepare('UPDATE role_keys SET box = zeroblob(60)').run();
  database.close();
  expect(checkKeyring(keyring, roles, false)).toEqual([expect.stringContaining('altered')]);
});

test('a key and a verifier given to another keyring answer to the same role there', () => {
  const publicKey = keyring.makeKey();
  const verifierCommitment = keyring.putVerifier(verifierOfPassword('x'));
  const there = mkdtempSync(join(tmpdir(), 'trustsql-check-'));
  const other = Keyring.create(there, nativeCrypto, makeMasterKey());
  keyring.shareKey(publicKey, other);
  keyring.shareVerifier(verifierCommitment, other);
  const shared = role('admin', { publicKey, custody: 'hosted', verifierCommitment });
  expect(checkKeyring(other, [shared], true)).toEqual([]);
  expect(other.keyOf(publicKey)).toEqual(keyring.keyOf(publicKey));
  other.close();
  rmSync(there, { recursive: true });
});
