import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { applyChanges } from '../../../../ledger/catalog.ts';
import { SqlError } from '../../../../ledger/error.ts';
import { Analyst } from '../../../../sql/analyst/analyst.ts';
import { contextOf, ddlRecord, genesisCatalog } from './fixture.ts';

const TIMEOUT_MS = 180_000;
const TABLE = "create table t (a int primary key, b text default 'x')";

const imageDirectory = mkdtempSync(join(tmpdir(), 'analyst-'));
const refused: string[] = [];
const images = {
  directory: imageDirectory,
  key: new Uint8Array(32).fill(5),
  onFault: (_: string, file: string) => void refused.push(file),
};

let analyst: Analyst;
let catalog = genesisCatalog();

beforeAll(async () => {
  analyst = await Analyst.start({ database: 'ledger', images });
  await analyst.load(catalog, [], 1);
  const { changes } = await analyst.analyseDdl(TABLE, contextOf());
  catalog = applyChanges(catalog, changes);
  await analyst.applyDdl([ddlRecord(TABLE)], catalog);
}, TIMEOUT_MS);

afterAll(async () => {
  await analyst.close();
  rmSync(imageDirectory, { recursive: true });
});

test('it follows the chain and translates OIDs', async () => {
  const [table] = [...catalog.relations.values()];
  const id = table?.id ?? 0;
  const { columns } = await analyst.analyse('select a from t', [], contextOf());
  expect(columns?.[0]?.tableOid).toBe(analyst.oidOfRelation(id));
  expect(analyst.relationOfOid(analyst.oidOfRelation(id))).toBe(id);
  expect(analyst.typeOfOid(1231)).toMatchObject({ base: 'numeric', array: true });
  expect(analyst.oidOfType({ base: 'uuid', typmod: -1, array: false, userType: null })).toBe(2950);
});

test('names, types and arguments are looked up', async () => {
  const context = contextOf();
  expect(await analyst.relationId(undefined, 't', context)).toBe(100);
  await expect(analyst.relationId('public', 'u', context)).rejects.toMatchObject({
    sqlstate: '42P01',
    message: 'relation "public.u" does not exist',
  });
  expect(await analyst.typeOids(['int', 'varchar(3)', 'text[]'], context)).toEqual([
    23, 1043, 1009,
  ]);
  const values = await analyst.evaluate("1 + 1, 'a)', null, '{1,2}'", [20, 25, 16, 1007], context);
  expect(values).toEqual([2n, 'a)', null, '[1,2]']);
  await expect(analyst.evaluate('1', [23, 23], context)).rejects.toMatchObject({
    sqlstate: '42601',
  });
});

test('errors cross the threads whole', async () => {
  await expect(analyst.analyse('select x from t', [], contextOf())).rejects.toMatchObject({
    name: 'SqlError',
    sqlstate: '42703',
    fields: { position: 8 },
  });
});

test(
  'a runaway catalog query ends with 57014 and disturbs nobody',
  async () => {
    const runaway = 'select count(*) from pg_class a, pg_class b, pg_class c, pg_class d';
    const asked = analyst.catalogQuery(runaway, [], [], [], [], contextOf(), 500).answer;
    const other = analyst.analyse('select b from t', [], contextOf());
    await expect(asked).rejects.toMatchObject({ sqlstate: '57014' });
    expect((await other).columns).toHaveLength(1);
  },
  TIMEOUT_MS,
);

test(
  'a cancelled query ends with 57014',
  async () => {
    const runaway = 'select count(*) from pg_class a, pg_class b, pg_class c, pg_class d';
    const asked = analyst.catalogQuery(runaway, [], [], [], [], contextOf(), 0);
    setTimeout(() => asked.cancel(new SqlError('57014', 'canceling statement')), 100);
    await expect(asked.answer).rejects.toMatchObject({ sqlstate: '57014' });
    expect((await analyst.defaults(100, contextOf())).map(({ column }) => column)).toEqual([2]);
  },
  TIMEOUT_MS,
);

test(
  'an image that somebody has edited is thrown away, and made anew',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'analyst-edited-'));
    cpSync(imageDirectory, directory, { recursive: true });
    const [name] = readdirSync(directory);
    const file = join(directory, name!);
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(file, bytes);
    const told: string[] = [];
    const onFault = (_: string, which: string): void => void told.push(which);
    const starting = { database: 'ledger', images: { ...images, directory, onFault } };
    const other = await Analyst.start(starting);
    await other.load(catalog, [ddlRecord(TABLE)], 1);
    await other.close();
    expect(told).toEqual([file]);
    expect(refused).toEqual([]);
    expect(readdirSync(directory)).toEqual([name]);
    const again = await Analyst.start(starting);
    await again.load(catalog, [ddlRecord(TABLE)], 1);
    await again.close();
    expect(told).toEqual([file]);
    rmSync(directory, { recursive: true });
  },
  TIMEOUT_MS,
);
