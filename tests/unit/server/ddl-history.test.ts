// The administrators of the genesis record are roles of the mirror before any DDL of the chain is.

import { expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyChanges, EMPTY_CATALOG, ID } from '../../../ledger/catalog.ts';
import { ddlHistory } from '../../../server/ddl-history.ts';
import { Mirror } from '../../../sql/analyst/mirror.ts';
import { createLedger } from '../../../storage/create-ledger.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { contextOf, genesisCatalog } from '../sql/analyst/fixture.ts';
import { genesis, NODE_SEED } from '../storage/ledger-fixture.ts';

test('administrators of several organisations are superusers to the analyst', async () => {
  const admin = genesisCatalog().roles.get(ID.adminRole)!;
  const other = { ...admin, id: ID.firstFree, name: 'admin of "b"' };
  const plain = { ...admin, id: ID.firstFree + 1, name: 'reader', superuser: false };
  const catalog = [
    { put: 'role', object: admin },
    { put: 'role', object: other },
    { put: 'role', object: plain },
    { put: 'schema', object: genesisCatalog().schemas.get(ID.publicSchema)! },
  ] as const;
  const directory = mkdtempSync(join(tmpdir(), 'trustsql-history-'));
  createLedger(directory, { ...genesis(), catalog }, nativeCrypto, NODE_SEED);
  const records = ddlHistory(directory, { read: () => [] });
  expect(records.map(({ text }) => text)).toEqual([
    'CREATE ROLE "admin of ""b""" SUPERUSER LOGIN INHERIT CREATEROLE CREATEDB',
    'CREATE ROLE "reader" NOSUPERUSER LOGIN INHERIT CREATEROLE CREATEDB',
  ]);
  const mirror = await Mirror.start('ledger');
  mirror.load(applyChanges(EMPTY_CATALOG, catalog), records, 1);
  const make = (role: string) =>
    mirror.analyseDdl('CREATE TABLE t (a int)', contextOf({ role, sessionRole: role }));
  const [change] = make(other.name).changes;
  expect(change).toMatchObject({ put: 'relation', object: { name: 't', owner: other.id } });
  expect(() => make(plain.name)).toThrow('permission denied for schema public');
  const altered = mirror.analyseDdl('ALTER ROLE "reader" CONNECTION LIMIT 3', contextOf());
  expect(altered.changes).toEqual([{ put: 'role', object: { ...plain, connectionLimit: 3 } }]);
  await mirror.close();
  rmSync(directory, { recursive: true });
});
