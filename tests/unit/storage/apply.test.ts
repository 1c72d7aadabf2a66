import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ID } from '../../../ledger/catalog.ts';
import { sqlType } from '../../../ledger/type.ts';
import { stampOf } from '../../../ledger/operation.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { INT4, START_MS, TEXT, TestLedger, USER, USER_SEED, column } from './ledger-fixture.ts';
import { genesis, index, table } from './ledger-fixture.ts';
import type { Expression } from '../../../ledger/expression.ts';
import type { Grant, Table } from '../../../ledger/catalog.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { Datum, Row } from '../../../ledger/type.ts';

const BOOL = sqlType('bool');

const call = (name: string, type: typeof INT4, ...args: Expression[]): Expression => ({
  kind: 'call',
  type,
  name,
  args,
});
const col = (id: number): Expression => ({ kind: 'column', type: INT4, column: id });
const int = (value: bigint): Expression => ({ kind: 'const', type: INT4, value });

const accounts = table(
  200,
  'accounts',
  [
    column(1, 'id', INT4, { notNull: true }),
    column(2, 'owner', TEXT),
    column(3, 'balance', INT4),
    column(4, 'twice', INT4, { generated: call('int4mul', INT4, col(3), int(2n)) }),
  ],
  [
    index(201, 'accounts_pkey', [[1, INT4]], { primary: true }),
    index(202, 'accounts_owner_key', [[2, TEXT]]),
  ],
  {
    checks: [
      {
        id: 203,
        name: 'accounts_balance_check',
        expression: call('int4ge', BOOL, col(3), int(0n)),
      },
    ],
  },
);

const entries = table(
  300,
  'entries',
  [column(1, 'id', INT4), column(2, 'account', INT4)],
  [index(301, 'entries_pkey', [[1, INT4]], { primary: true })],
  {
    foreignKeys: [
      {
        id: 302,
        name: 'entries_account_fkey',
        columns: [2],
        references: 200,
        referencedColumns: [1],
        index: 201,
        onDelete: 'noAction',
        onUpdate: 'cascade',
        matchFull: false,
        deferrable: false,
        initiallyDeferred: false,
      },
    ],
  },
);

let ledger: TestLedger;

beforeEach(() => {
  ledger = new TestLedger(
    genesis([
      { put: 'relation', object: accounts },
      { put: 'relation', object: entries },
    ]),
  );
});

afterEach(() => ledger.destroy());

function insert(...rows: Row[]): Operation {
  return {
    kind: 'insert',
    relation: 200,
    schemaVersion: 1,
    columns: [1, 2, 3],
    rows,
    conflict: null,
  };
}

function entry(...rows: Row[]): Operation {
  return { kind: 'insert', relation: 300, schemaVersion: 1, columns: [1, 2], rows, conflict: null };
}

function add(id: bigint, amount: bigint, where: Expression | null = null): Operation {
  const value = call('int4pl', INT4, col(3), int(amount));
  const set = [{ column: 3, value }];
  return {
    kind: 'program',
    relation: 200,
    schemaVersion: 1,
    index: 201,
    key: [id],
    where,
    set,
    required: false,
  };
}

function rows(which: Table = accounts): Datum[][] {
  const reader = StateReader.open(ledger.directory);
  const names = which.columns.map(({ id }) => `c${id}`).join();
  const found = reader.database
    .prepare(`SELECT ${names} FROM r${which.id} ORDER BY _id`)
    .raw()
    .all();
  reader.close();
  return found as Datum[][];
}

function history(id: number): Datum[][] {
  const reader = StateReader.open(ledger.directory);
  const found = reader.database
    .prepare(`SELECT _id,_from,_to FROM h${id} ORDER BY 1,2`)
    .raw()
    .all();
  reader.close();
  return found as Datum[][];
}

describe('insert', () => {
  test('writes rows with generated columns, and counts them', () => {
    const receipt = ledger.run([insert([1n, 'ann', 5n], [2n, 'bob', null])]);
    expect(receipt.abort).toBeNull();
    expect(receipt.counts).toEqual([{ inserted: 2, updated: 0, deleted: 0 }]);
    expect(receipt.versionCount).toBe(2);
    expect(rows()).toEqual([
      [1n, 'ann', 5n, 10n],
      [2n, 'bob', null, null],
    ]);
  });

  test.each([
    [
      [null, 'x', 1n],
      '23502',
      'null value in column "id" of relation "accounts" violates not-null constraint',
      'Failing row contains (null, x, 1, 2).',
    ],
    [
      [1n, 'x', -1n],
      '23514',
      'new row for relation "accounts" violates check constraint "accounts_balance_check"',
      'Failing row contains (1, x, -1, -2).',
    ],
    [
      [9n, 'x', 1n],
      '23505',
      'duplicate key value violates unique constraint "accounts_pkey"',
      'Key (id)=(9) already exists.',
    ],
    [
      [1n, 'nine', 1n],
      '23505',
      'duplicate key value violates unique constraint "accounts_owner_key"',
      'Key (owner)=(nine) already exists.',
    ],
  ])('%j is refused with %s', (row, sqlstate, message, detail) => {
    ledger.run([insert([9n, 'nine', 1n])]);
    const { abort, versionCount } = ledger.run([insert([5n, 'five', 1n], row)]);
    expect(abort).toMatchObject({
      sqlstate,
      message,
      fields: { detail, table: 'accounts', schema: 'public' },
    });
    expect(versionCount).toBe(0);
    expect(rows()).toHaveLength(1);
  });

  test('a value of another type never reaches the table', () => {
    expect(ledger.run([insert([1n, 'x', 'many'])]).abort?.sqlstate).toBe('42804');
    expect(ledger.run([insert([1n << 31n, 'x', 1n])]).abort?.sqlstate).toBe('42804');
  });

  test('an abort gives the row ids back', () => {
    ledger.run([insert([1n, 'a', 1n], [1n, 'b', 1n])]);
    ledger.run([insert([1n, 'a', 1n])]);
    const reader = StateReader.open(ledger.directory);
    expect(reader.findRow(accounts, 201, [1n])?.rowId).toBe(1n);
    reader.close();
  });

  test('ON CONFLICT DO NOTHING and DO UPDATE', () => {
    ledger.run([insert([1n, 'ann', 5n])]);
    const nothing = { index: null, update: null };
    const skipped = ledger.run([
      { ...insert([1n, 'x', 1n], [2n, 'y', 1n]), conflict: nothing } as Operation,
    ]);
    expect(skipped.counts).toEqual([{ inserted: 1, updated: 0, deleted: 0 }]);
    const excluded: Expression = { kind: 'excluded', type: INT4, column: 3 };
    const update = {
      set: [{ column: 3, value: call('int4pl', INT4, col(3), excluded) }],
      where: null,
    };
    const upsert = (...values: Row[]): Operation =>
      ({ ...insert(...values), conflict: { index: 201, update } }) as Operation;
    const updated = ledger.run([upsert([1n, 'z', 10n], [3n, 'new', 3n])]);
    expect(updated.counts).toEqual([{ inserted: 1, updated: 1, deleted: 0 }]);
    expect(rows()[0]).toEqual([1n, 'ann', 15n, 30n]);
    const twice = ledger.run([upsert([7n, 'p', 1n], [7n, 'q', 1n])]);
    expect(twice.abort?.sqlstate).toBe('21000');
  });
});

describe('update and delete', () => {
  beforeEach(() => {
    ledger.run([insert([1n, 'ann', 5n], [2n, 'bob', 7n])]);
  });

  test('a program changes the row it finds; history keeps the version before', () => {
    expect(ledger.run([add(1n, 3n)]).counts).toEqual([{ inserted: 0, updated: 1, deleted: 0 }]);
    expect(rows()[0]).toEqual([1n, 'ann', 8n, 16n]);
    expect(history(200)).toEqual([[1n, stampOf(1, 0), stampOf(2, 0)]]);
  });

  test('a program that finds nothing, or whose condition fails, counts 0; required, it aborts', () => {
    const where = call('int4ge', BOOL, col(3), int(100n));
    expect(ledger.run([add(8n, 1n)]).counts[0]?.updated).toBe(0);
    expect(ledger.run([add(1n, 1n, where)]).counts[0]?.updated).toBe(0);
    const required = { ...add(8n, 1n), required: true } as Operation;
    expect(ledger.run([required]).abort?.sqlstate).toBe('40001');
  });

  test('a program that breaks a constraint leaves everything as it was', () => {
    expect(ledger.run([add(1n, -9n)]).abort?.sqlstate).toBe('23514');
    expect(rows()[0]).toEqual([1n, 'ann', 5n, 10n]);
    expect(history(200)).toEqual([]);
  });

  test('an image needs the version it has seen', () => {
    const image = (version: bigint): Operation => ({
      kind: 'update',
      relation: 200,
      schemaVersion: 1,
      columns: [2],
      rows: [{ rowId: 1n, version, values: ['eve'] }],
    });
    expect(ledger.run([image(stampOf(7, 7))]).abort).toMatchObject({
      sqlstate: '40001',
      message: 'could not serialize access due to concurrent update',
    });
    expect(ledger.run([image(stampOf(1, 0))]).abort).toBeNull();
    expect(ledger.run([image(stampOf(1, 0))]).abort?.sqlstate).toBe('40001');
    expect(rows()[0]![1]).toBe('eve');
  });

  test('a unique index refuses an update and undoes it', () => {
    const image: Operation = {
      kind: 'update',
      relation: 200,
      schemaVersion: 1,
      columns: [2],
      rows: [{ rowId: 1n, version: stampOf(1, 0), values: ['bob'] }],
    };
    expect(ledger.run([image]).abort?.sqlstate).toBe('23505');
    expect(history(200)).toEqual([]);
    expect(rows()[0]![1]).toBe('ann');
  });

  test('a row inserted by the transaction is named by its ordinal, and gives one version', () => {
    const receipt = ledger.run([
      insert([3n, 'cat', 1n]),
      {
        kind: 'update',
        relation: 200,
        schemaVersion: 1,
        columns: [3],
        rows: [{ rowId: -1n, version: 0n, values: [9n] }],
      },
      add(3n, 1n),
    ]);
    expect(receipt.abort).toBeNull();
    expect(receipt.versionCount).toBe(1);
    expect(rows()[2]).toEqual([3n, 'cat', 10n, 20n]);
    expect(history(200)).toEqual([]);
  });

  test('delete, truncate and append-only tables', () => {
    expect(
      ledger.run([{ kind: 'delete', relation: 200, rows: [{ rowId: 1n, version: stampOf(1, 0) }] }])
        .counts[0]?.deleted,
    ).toBe(1);
    expect(ledger.run([{ kind: 'truncate', relations: [200] }]).abort?.sqlstate).toBe('0A000');
    expect(ledger.run([{ kind: 'truncate', relations: [200, 300] }]).counts[0]?.deleted).toBe(1);
    expect(rows()).toEqual([]);
    expect(history(200)).toHaveLength(2);
    ledger.change({
      put: 'relation',
      object: { ...entries, foreignKeys: [], schemaVersion: 2, appendOnly: true },
    });
    ledger.run([{ ...entry([1n, 1n]), schemaVersion: 2 } as Operation]);
    expect(ledger.run([{ kind: 'delete', relation: 300, rows: [] }]).abort?.sqlstate).toBe('55000');
  });

  test('require and requireTable', () => {
    const seen = [{ rowId: 1n, version: stampOf(1, 0) }];
    expect(ledger.run([{ kind: 'require', relation: 200, rows: seen }]).abort).toBeNull();
    expect(
      ledger.run([{ kind: 'requireTable', relation: 200, stamp: stampOf(1, 0) }]).abort,
    ).toBeNull();
    ledger.run([add(1n, 1n)]);
    expect(ledger.run([{ kind: 'require', relation: 200, rows: seen }]).abort?.sqlstate).toBe(
      '40001',
    );
    const table: Operation = { kind: 'requireTable', relation: 200, stamp: stampOf(2, 0) };
    expect(ledger.run([add(2n, 1n), table]).abort?.sqlstate).toBe('40001');
  });
});

describe('foreign keys', () => {
  beforeEach(() => {
    ledger.run([insert([1n, 'ann', 5n], [2n, 'bob', 7n])]);
  });

  test('a child without parent is refused in the words of Postgres', () => {
    expect(ledger.run([entry([1n, 5n])]).abort).toMatchObject({
      sqlstate: '23503',
      message:
        'insert or update on table "entries" violates foreign key constraint "entries_account_fkey"',
      fields: { detail: 'Key (account)=(5) is not present in table "accounts".', table: 'entries' },
    });
    expect(rows(entries)).toEqual([]);
    expect(ledger.run([entry([1n, null], [2n, 2n])]).abort).toBeNull();
  });

  test('a parent with children stays', () => {
    ledger.run([entry([1n, 1n])]);
    const gone: Operation = {
      kind: 'delete',
      relation: 200,
      rows: [{ rowId: 1n, version: stampOf(1, 0) }],
    };
    expect(ledger.run([gone]).abort).toMatchObject({
      sqlstate: '23503',
      message:
        'update or delete on table "accounts" violates foreign key constraint "entries_account_fkey" on table "entries"',
      fields: { detail: 'Key (id)=(1) is still referenced from table "entries".' },
    });
    expect(rows()).toHaveLength(2);
  });

  test('a cascade is checked when it is complete; a child it missed gives 40001', () => {
    ledger.run([entry([1n, 1n])]);
    const parent: Operation = {
      kind: 'update',
      relation: 200,
      schemaVersion: 1,
      columns: [1],
      rows: [{ rowId: 1n, version: stampOf(1, 0), values: [11n] }],
    };
    const child: Operation = {
      kind: 'update',
      relation: 300,
      schemaVersion: 1,
      columns: [2],
      rows: [{ rowId: 1n, version: stampOf(2, 0), values: [11n] }],
    };
    expect(ledger.run([parent]).abort?.sqlstate).toBe('40001');
    expect(ledger.run([parent, child]).abort).toBeNull();
    expect(rows(entries)).toEqual([[1n, 11n]]);
  });
});

describe('who may, and when', () => {
  const bob = { author: USER, seed: USER_SEED };

  test('a role without grant is refused, with one it may', () => {
    expect(ledger.run([insert([1n, 'a', 1n])], bob).abort).toMatchObject({
      sqlstate: '42501',
      message: 'permission denied for table accounts',
    });
    const grants = [{ grantee: USER, grantor: ID.adminRole, privileges: 'a', grantable: '' }];
    ledger.change({ put: 'relation', object: { ...accounts, grants } });
    expect(ledger.run([insert([1n, 'a', 1n])], bob).abort).toBeNull();
    expect(ledger.run([add(1n, 1n)], bob).abort?.sqlstate).toBe('42501');
    const mine = ledger.catalog({ put: 'relation', object: { ...accounts, owner: USER } });
    expect(ledger.run([mine], bob).abort?.sqlstate).toBe('42501');
  });

  test('grants on columns are enough for what they cover', () => {
    const role = ledger.writer.catalog.roles.get(USER)!;
    const staff = { ...role, id: USER + 1, name: 'staff', login: false, publicKey: null };
    const memberOf = [{ role: staff.id, admin: false }];
    ledger.change({ put: 'role', object: staff });
    ledger.change({ put: 'role', object: { ...role, memberOf } });
    const on = (privileges: string): Grant[] => [
      { grantee: staff.id, grantor: ID.adminRole, privileges, grantable: '' },
    ];
    const letters: Record<number, string> = { 1: 'ar', 2: 'ar', 3: 'w' };
    const columns = accounts.columns.map((each) => ({
      ...each,
      grants: on(letters[each.id] ?? ''),
    }));
    ledger.change({ put: 'relation', object: { ...accounts, columns } });
    // An insert names the columns filled with defaults too.
    expect(ledger.run([insert([1n, 'a', 1n])], bob).abort).toBeNull();
    const { height } = ledger.writer.tip;
    expect(ledger.run([add(1n, 1n)], bob).abort).toBeNull();
    const version = stampOf(height + 1, 0);
    const update = (...ids: number[]): Operation => ({
      kind: 'update',
      relation: 200,
      schemaVersion: 1,
      columns: ids,
      rows: [{ rowId: 1n, version, values: ids.map((id) => (id === 2 ? 'b' : 5n)) }],
    });
    const stamp = stampOf(height + 2, 0);
    const read: Operation = { kind: 'requireTable', relation: 200, stamp };
    const require: Operation = { kind: 'require', relation: 200, rows: [{ rowId: 1n, version }] };
    expect(ledger.run([update(2, 3)], bob).abort?.sqlstate).toBe('42501');
    expect(ledger.run([{ kind: 'truncate', relations: [200] }], bob).abort?.sqlstate).toBe('42501');
    expect(ledger.run([read, require, update(3)], bob).abort).toBeNull();
    // An update that sets what is there already.
    const again = {
      ...update(),
      rows: [{ rowId: 1n, version: stampOf(height + 4, 0), values: [] }],
    };
    expect(ledger.run([again as Operation], bob).abort).toBeNull();
    const none = accounts.columns.map((each) => ({ ...each, grants: on('r') }));
    ledger.change({ put: 'relation', object: { ...accounts, columns: none } });
    expect(ledger.run([again as Operation], bob).abort?.sqlstate).toBe('42501');
  });

  test('an idempotency key works once, until it has expired', () => {
    const key = new Uint8Array(16).fill(9);
    expect(ledger.run([insert([1n, 'a', 1n])], { key }).abort).toBeNull();
    const again = () => ledger.run([insert([2n, 'b', 1n])], { key }).abort?.sqlstate;
    expect(again()).toBe('TL004');
    ledger.reopen();
    expect(again()).toBe('TL004');
    ledger.timeMs += 120_000;
    ledger.run([insert([3n, 'c', 1n])]);
    ledger.writer.tidy();
    expect(again()).toBeUndefined();
    expect(again()).toBe('TL004');
  });

  test('a key that lives long outlives the looks for what has expired, and a restart', () => {
    const key = new Uint8Array(16).fill(9);
    const long = { key, validUntilMs: START_MS + 20 * 3_600_000 };
    expect(ledger.run([insert([1n, 'a', 1n])], long).abort).toBeNull();
    for (let minute = 0; minute < 5; minute += 1) {
      ledger.timeMs += 61_000;
      ledger.run([]);
      ledger.writer.tidy();
      if (minute === 3) ledger.reopen();
    }
    expect(ledger.run([insert([2n, 'b', 1n])], { key }).abort?.sqlstate).toBe('TL004');
  });

  test('keys are of their author', () => {
    const key = new Uint8Array(16).fill(9);
    expect(ledger.run([], { key }).abort).toBeNull();
    expect(ledger.run([], { key, author: USER, seed: USER_SEED }).abort).toBeNull();
    expect(ledger.run([], { key }).abort?.sqlstate).toBe('TL004');
  });

  test('an expired transaction, and one valid for too long', () => {
    const expired = { validUntilMs: START_MS };
    expect(ledger.run([insert([1n, 'a', 1n])], expired).abort?.sqlstate).toBe('40001');
    const long = { validUntilMs: START_MS + 100 * 3_600_000 };
    expect(ledger.run([insert([1n, 'a', 1n])], long).abort?.sqlstate).toBe('22023');
    expect(rows()).toEqual([]);
  });

  test('a transaction for another chain makes a block that is refused', () => {
    const bundle = ledger.bundle([[insert([1n, 'a', 1n])]], { chainId: new Uint8Array(32) });
    expect(() => ledger.append([bundle])).toThrow('block 1');
  });

  test('a bundle under a key that is not its author’s has no effect', () => {
    const bundle = ledger.bundle([[insert([1n, 'a', 1n])]], { seed: USER_SEED });
    const [receipt] = ledger.append([bundle]);
    expect(receipt!.abort).toMatchObject({ sqlstate: '28000' });
    expect(rows()).toEqual([]);
  });
});

test('chunks are applied in order and all or nothing', async () => {
  const { encodeOperations } = await import('../../../ledger/encoding.ts');
  const first = encodeOperations([insert([1n, 'a', 1n])]);
  const second = encodeOperations([insert([2n, 'b', 1n]), add(1n, 5n)]);
  const hashes = [ledger.writer.putChunk(first), ledger.writer.putChunk(second)];
  const bytes = first.length + second.length;
  const receipt = ledger.run([{ kind: 'chunks', hashes, bytes }]);
  expect(receipt.counts.map(({ inserted, updated }) => [inserted, updated])).toEqual([
    [1, 0],
    [1, 0],
    [0, 1],
  ]);
  expect(rows().map((row) => row[2])).toEqual([6n, 1n]);
});

test('the same blocks give the same receipts in another store', () => {
  const other = new TestLedger(ledger.writer.genesis);
  const blocks = [
    ledger.block([
      ledger.bundle([[insert([1n, 'a', 1n], [2n, 'b', 2n])], [insert([1n, 'c', 1n])]]),
    ]),
  ];
  const receipts = blocks.map((block) => ledger.writer.append(block).receipts);
  expect(blocks.map((block) => other.writer.append(block).receipts)).toEqual(receipts);
  expect(other.writer.tip).toEqual(ledger.writer.tip);
  other.destroy();
});
