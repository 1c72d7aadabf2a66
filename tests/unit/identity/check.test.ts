// The keyring answers to the chain, or says what is missing.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkKeyring } from '../../../identity/check.ts';
import { Keyring } from '../../../identity/keyring.ts';
import { makeMasterKey } from '../../../identity/master-key.ts';
import { verifierOfPassword } from '../../../identity/password.ts';
import type { Role } from '../../../ledger/catalog.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';

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
  expect(checkKeyring(keyring, roles)).toEqual([]);
});

test('a missing key and a swapped password are named with their role', () => {
  const publicKey = keyring.makeKey();
  const verifierCommitment = keyring.putVerifier(verifierOfPassword('x'));
  keyring.removeKey(publicKey);
  keyring.removeVerifier(verifierCommitment);
  keyring.putVerifier(verifierOfPassword('the intruder’s'));
  const roles = [role('ada', { publicKey, custody: 'hosted', verifierCommitment })];
  const faults = checkKeyring(keyring, roles);
  expect(faults).toHaveLength(2);
  expect(faults[0]).toContain('the key of role "ada" is missing');
  expect(faults[1]).toBe('the password of role "ada" is not the one the chain committed to');
});
