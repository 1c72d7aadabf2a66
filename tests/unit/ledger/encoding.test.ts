// The codecs of every record: round trips, canonical bytes, damage, limits.

import { describe, expect, test } from '@jest/globals';
import * as cborg from 'cborg';
import { concat, equal, hex } from '../../../ledger/bytes.ts';
import type { Catalog, CatalogChange, Table } from '../../../ledger/catalog.ts';
import { applyChanges, EMPTY_CATALOG } from '../../../ledger/catalog.ts';
import {
  decodeBlock,
  decodeBody,
  decodeBundle,
  decodeCatalog,
  decodeChanges,
  decodeExpression,
  decodeGenesis,
  decodeHeader,
  decodeOperations,
  decodeReceipt,
  decodeRowVersion,
  decodeTransaction,
  encodeBlock,
  encodeBody,
  encodeBundle,
  encodeCatalog,
  encodeChanges,
  encodeExpression,
  encodeGenesis,
  encodeHeader,
  encodeOperations,
  encodeReceipt,
  encodeRowVersion,
  encodeTransaction,
  eraseText,
  transactionIdOf,
} from '../../../ledger/encoding.ts';
import {
  decodeCertificate,
  decodeConfig,
  decodeVote,
  encodeCertificate,
  encodeConfig,
  encodeVote,
} from '../../../ledger/encoding-vote.ts';
import type { Rules } from '../../../ledger/epoch.ts';
import { genesisConfig } from '../../../ledger/epoch.ts';
import { isFormatError } from '../../../ledger/error.ts';
import type { Expression } from '../../../ledger/expression.ts';
import { LIMITS } from '../../../ledger/limits.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { Receipt, RowVersion } from '../../../ledger/transaction.ts';
import { sqlType } from '../../../ledger/type.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';
import { accounts, makeChain } from './chain-fixture.ts';
import { Random } from './random.ts';

const chain = makeChain(crypto);
const int8 = sqlType('int8');
const bool = sqlType('bool');
const column: Expression = { kind: 'column', type: int8, column: 2 };
const one: Expression = { kind: 'const', type: int8, value: 1n };

/** Every kind of expression. */
const expressions: readonly Expression[] = [
  one,
  { kind: 'const', type: sqlType('text', -1, true), value: '["a",null]' },
  { kind: 'const', type: sqlType('enum', -1, false, 105), value: 'red' },
  column,
  { kind: 'excluded', type: int8, column: 2 },
  { kind: 'call', type: int8, name: 'int8pl', args: [column, one] },
  ...(['and', 'or', 'coalesce', 'greatest', 'least'] as const).map((kind): Expression => ({
    kind,
    type: bool,
    args: [column, one],
  })),
  ...(['not', 'isNull', 'isNotNull', 'isTrue', 'isNotTrue', 'isFalse', 'isNotFalse'] as const).map(
    (kind): Expression => ({ kind, type: bool, arg: column }),
  ),
  { kind: 'distinct', type: bool, equal: 'int8eq', left: column, right: one },
  { kind: 'nullIf', type: int8, equal: 'int8eq', left: column, right: one },
  { kind: 'anyOf', type: bool, any: false, name: 'int8eq', arg: column, list: [one, one] },
  { kind: 'case', type: int8, whens: [{ when: one, then: column }], otherwise: null },
];

/** Every kind of operation. */
const operations: readonly Operation[] = [
  {
    kind: 'insert',
    relation: 101,
    schemaVersion: 3,
    columns: [1, 2, 3, 4, 5],
    rows: [
      [1n, 'a', 1.5, null, new Uint8Array([1, 2])],
      [-(2n ** 63n), '', Infinity, 'NaN', new Uint8Array(0)],
    ],
    conflict: { index: 102, update: { set: [{ column: 2, value: column }], where: one } },
  },
  {
    kind: 'insert',
    relation: 101,
    schemaVersion: 3,
    columns: [],
    rows: [[], []],
    conflict: { index: null, update: null },
  },
  {
    kind: 'program',
    relation: 101,
    schemaVersion: 3,
    index: 102,
    key: [7n],
    where: one,
    set: [{ column: 3, value: expressions[5]! }],
    required: true,
  },
  {
    kind: 'program',
    relation: 101,
    schemaVersion: 3,
    index: 102,
    key: ['k', 7n],
    where: null,
    set: null,
    required: false,
  },
  {
    kind: 'update',
    relation: 101,
    schemaVersion: 3,
    columns: [2],
    rows: [{ rowId: -1n, version: 0n, values: ['x'] }],
  },
  { kind: 'delete', relation: 101, rows: [{ rowId: 5n, version: 65_536n }] },
  { kind: 'require', relation: 101, rows: [{ rowId: 5n, version: 65_536n }] },
  { kind: 'requireTable', relation: 101, stamp: 2n ** 62n },
  { kind: 'truncate', relations: [101, 104] },
  { kind: 'sequence', sequence: 106, from: null, last: -5n, called: true },
  {
    kind: 'sequence',
    sequence: 106,
    from: { last: 1n, called: false },
    last: 32n,
    called: true,
  },
  { kind: 'chunks', hashes: [new Uint8Array(32).fill(1)], bytes: 5_000_000 },
];

/** Every kind of catalog object. */
const changes: readonly CatalogChange[] = [
  { put: 'schema', object: { id: 20, name: 'public', owner: 10, grants: accounts.grants } },
  { put: 'relation', object: accounts },
  {
    put: 'relation',
    object: {
      ...accounts,
      id: 120,
      foreignKeys: [
        {
          id: 121,
          name: 'fk',
          columns: [2],
          references: 101,
          referencedColumns: [1],
          index: 102,
          onDelete: 'setDefault',
          onUpdate: 'noAction',
          matchFull: false,
          deferrable: true,
          initiallyDeferred: true,
        },
      ],
    },
  },
  {
    put: 'relation',
    object: { kind: 'view', id: 130, schema: 20, name: 'v', owner: 10, grants: [] },
  },
  {
    put: 'relation',
    object: {
      kind: 'sequence',
      id: 131,
      schema: 20,
      name: 's',
      owner: 10,
      type: 'int8',
      start: 1n,
      increment: -1n,
      min: -(2n ** 63n),
      max: 2n ** 63n - 1n,
      cycle: false,
      cache: 1n,
      ownedBy: { relation: 101, column: 1 },
      grants: [],
    },
  },
  {
    put: 'type',
    object: { kind: 'enum', id: 132, schema: 20, name: 'mood', owner: 10, labels: ['sad', 'ok'] },
  },
  {
    put: 'type',
    object: {
      kind: 'domain',
      id: 133,
      schema: 20,
      name: 'positive',
      owner: 10,
      type: int8,
      notNull: true,
      defaultText: '1',
      checks: [{ id: 134, name: 'c', expression: column }],
    },
  },
  chain.genesis.catalog[0]!,
  { drop: 'relation', id: 130 },
];

const receipt: Receipt = {
  transactionId: new Uint8Array(32).fill(5),
  abort: {
    sqlstate: '23505',
    message: 'duplicate key value violates unique constraint "accounts_pkey"',
    fields: { detail: 'Key (id)=(1) already exists.', table: 'accounts', position: 3 },
  },
  counts: [{ inserted: 1, updated: 0, deleted: 0 }],
  versionsRoot: new Uint8Array(32).fill(6),
  versionCount: 0,
};

const rowVersion: RowVersion = {
  relation: 101,
  schemaVersion: 1,
  rowId: 2n ** 40n,
  stamp: 65_537n,
  deleted: false,
  columns: [1, 2],
  values: [null, 'x'],
};

const deletedVersion: RowVersion = { ...rowVersion, deleted: true, columns: [], values: [] };

const block = chain.blocks[2]!;
const bytes32 = new Uint8Array(32).fill(4);
const bytes64 = new Uint8Array(64).fill(5);
const ballot = { epoch: 1, term: 5, mode: 'raft', height: 2, hash: bytes32 } as const;
const vote = { kind: 'ack', ...ballot, member: 3, signature: bytes64 } as const;
const voted = {
  kind: 'fast',
  ...ballot,
  signatures: [
    { member: 0, signature: bytes64 },
    { member: 3, signature: bytes64 },
  ],
} as const;
const config = genesisConfig({ ...chain.genesis, consensus: 'adaptive' });
const rules: Rules = {
  members: config.members,
  observers: [{ publicKey: bytes32, address: 'auditor.example:7000' }],
  f: 0,
  policy: 'adaptive',
  window: 8,
  governance: config.governance,
  thresholds: config.thresholds,
  timers: config.timers,
};
const transaction = block.bundles[0]!.transactions[0]!;

/** Encoder, decoder and examples of every record. */
interface Case {
  readonly name: string;
  readonly encode: (value: never) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly values: readonly unknown[];
}

const cases: readonly Case[] = [
  { name: 'expression', encode: encodeExpression, decode: decodeExpression, values: expressions },
  { name: 'changes', encode: encodeChanges, decode: decodeChanges, values: [changes, []] },
  {
    name: 'catalog',
    encode: encodeCatalog,
    decode: decodeCatalog,
    values: [EMPTY_CATALOG, applyChanges(EMPTY_CATALOG, changes.slice(0, 8))],
  },
  {
    name: 'operations',
    encode: encodeOperations,
    decode: decodeOperations,
    values: [operations, ...operations.map((operation) => [operation]), []],
  },
  {
    name: 'transaction',
    encode: (value: never) => encodeTransaction(crypto, value).bytes,
    decode: decodeTransaction,
    values: [decodeTransaction(transaction), decodeTransaction(eraseText(transaction))],
  },
  { name: 'bundle', encode: encodeBundle, decode: decodeBundle, values: block.bundles },
  {
    name: 'header',
    encode: encodeHeader,
    decode: decodeHeader,
    values: chain.blocks.map(({ header }) => header),
  },
  {
    name: 'certificate',
    encode: encodeCertificate,
    decode: decodeCertificate,
    values: [block.certificate, voted, { ...voted, kind: 'commit', signatures: [] }],
  },
  { name: 'vote', encode: encodeVote, decode: decodeVote, values: [vote] },
  { name: 'configuration', encode: encodeConfig, decode: decodeConfig, values: [config] },
  {
    name: 'body',
    encode: encodeBody,
    decode: decodeBody,
    values: [
      { bundles: block.bundles, system: [] },
      {
        bundles: [],
        system: [
          { kind: 'evidence', accused: 2, proof: new Uint8Array([1]) },
          { kind: 'mode', mode: 'bft', statements: [new Uint8Array([2])] },
          { kind: 'rules', rules, approvals: [{ key: bytes32, signature: bytes64 }] },
        ],
      },
    ],
  },
  { name: 'block', encode: encodeBlock, decode: decodeBlock, values: chain.blocks.slice(1) },
  { name: 'genesis', encode: encodeGenesis, decode: decodeGenesis, values: [chain.genesis] },
  {
    name: 'receipt',
    encode: encodeReceipt,
    decode: decodeReceipt,
    values: [receipt, { ...receipt, abort: null, counts: [] }],
  },
  {
    name: 'row version',
    encode: encodeRowVersion,
    decode: decodeRowVersion,
    values: [rowVersion, deletedVersion],
  },
];

/** Buffers and Uint8Arrays of the same bytes are the same to a reader. */
function plain(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return `bytes ${hex(value as Uint8Array)}`;
  if (value instanceof Map) return [...value].map(plain);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, plain(entry)]));
}

describe.each(cases)('$name', ({ encode, decode, values }) => {
  test('comes back as it was', () => {
    for (const value of values) expect(plain(decode(encode(value as never)))).toEqual(plain(value));
  });

  test('is what an independent library reads and writes', () => {
    for (const value of values) {
      const bytes = encode(value as never);
      expect(hex(cborg.encode(cborg.decode(bytes, { strict: true })))).toBe(hex(bytes));
    }
  });

  test('damaged bytes are refused, or are another value with just these bytes', () => {
    const random = new Random(7);
    for (let round = 0; round < 1500; round++) {
      const bytes = random.damage(encode(random.pick(values) as never));
      try {
        const value = decode(bytes);
        if (!equal(encode(value as never), bytes))
          throw new Error(`${hex(bytes)} is not canonical`);
      } catch (error) {
        if (!isFormatError(error)) throw error;
      }
    }
  });

  test('every prefix and every longer text is refused', () => {
    const bytes = encode(values[0] as never);
    for (let length = 0; length < Math.min(bytes.length, 600); length++) {
      expect(() => decode(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ name: 'FormatError' }),
      );
    }
    expect(() => decode(concat(bytes, Uint8Array.of(0)))).toThrow('after the end');
  });
});

test('how a table is spread stands in the place of its shard', () => {
  const encoded = (object: Table): Buffer =>
    Buffer.from(encodeChanges([{ put: 'relation', object }]));
  const whole = { ...accounts, shard: 3 };
  const spread = { ...accounts, spread: { column: 2, parts: 4 } };
  // [… false, shard, grants]
  const grants = encoded(accounts).subarray(
    encoded(accounts).lastIndexOf(Buffer.from('f40081', 'hex')),
  );
  expect(encoded(whole).subarray(-grants.length).toString('hex')).toBe(
    grants.toString('hex').replace('f400', 'f403'),
  );
  expect(
    encoded(spread)
      .subarray(-grants.length - 2)
      .toString('hex'),
  ).toBe(grants.toString('hex').replace('f400', 'f4820204'));
  for (const object of [whole, spread]) {
    expect(decodeChanges(encoded(object))).toEqual([{ put: 'relation', object }]);
  }
});

describe('transactions', () => {
  test('keep their id when the text is erased', () => {
    const erased = eraseText(transaction);
    expect(hex(transactionIdOf(crypto, erased))).toBe(hex(transactionIdOf(crypto, transaction)));
    expect(decodeTransaction(erased).text).toBeNull();
    expect(erased.length).toBeLessThan(transaction.length);
  });

  test('of another version are refused', () => {
    const { core, bytes } = encodeTransaction(crypto, decodeTransaction(transaction));
    const at = hex(bytes).indexOf(hex(core)) / 2;
    const other = Uint8Array.from(bytes);
    expect(other[at + 1]).toBe(2);
    other[at + 1] = 1;
    expect(() => decodeTransaction(other)).toThrow('out of range');
  });

  test('too long for a block are refused', () => {
    const long: Operation = {
      kind: 'insert',
      relation: 1,
      schemaVersion: 1,
      columns: [1],
      rows: [['x'.repeat(LIMITS.transactionBytesMax)]],
      conflict: null,
    };
    const value = { ...decodeTransaction(transaction), operations: [long] };
    expect(() => encodeTransaction(crypto, value)).toThrow('too long');
    expect(decodeOperations(encodeOperations([long]))).toEqual([long]);
  });

  test('of many rows cost their values and one byte a row', () => {
    const rows = Array.from({ length: 1000 }, () => [5n, 'a'] as const);
    const bulk: Operation = {
      kind: 'insert',
      relation: 1,
      schemaVersion: 1,
      columns: [1, 2],
      rows,
      conflict: null,
    };
    expect(encodeOperations([bulk]).length).toBeLessThan(1000 * (1 + 1 + 2) + 20);
  });
});

describe('neither written nor read', () => {
  test('an expression deeper than the limit', () => {
    let deep: Expression = one;
    for (let level = 1; level < LIMITS.expressionDepthMax; level++) {
      deep = { kind: 'not', type: bool, arg: deep };
    }
    const bytes = encodeExpression(deep);
    expect(plain(decodeExpression(bytes))).toEqual(plain(deep));
    const deeper: Expression = { kind: 'not', type: bool, arg: deep };
    expect(() => encodeExpression(deeper)).toThrow('levels');
    const not = encodeExpression({ kind: 'not', type: bool, arg: one });
    const prefix = not.subarray(0, not.length - encodeExpression(one).length);
    expect(() => decodeExpression(concat(prefix, bytes))).toThrow('levels');
    // A hostile one, much deeper than any stack.
    const levels = Array.from({ length: 100_000 }, () => prefix);
    expect(() => decodeExpression(concat(...levels, bytes))).toThrow('levels');
  });

  test.each<[string, Operation]>([
    ['row of another length', { ...operations[0]!, rows: [[1n]] } as Operation],
    ['null in a key', { ...operations[2]!, key: [null] } as Operation],
    ['no key', { ...operations[2]!, key: [] } as Operation],
    ['negative version', { kind: 'delete', relation: 1, rows: [{ rowId: 1n, version: -1n }] }],
    ['no chunks', { kind: 'chunks', hashes: [], bytes: 0 }],
    ['hash of another length', { kind: 'chunks', hashes: [new Uint8Array(31)], bytes: 0 }],
    ['unknown kind', { kind: 'vacuum' } as unknown as Operation],
    ['negative id', { kind: 'truncate', relations: [-1] }],
    ['broken id', { kind: 'truncate', relations: [1.5] }],
  ])('operation with %s', (_name, operation) => {
    expect(() => encodeOperations([operation])).toThrow(
      expect.objectContaining({ name: 'FormatError' }),
    );
  });

  test('a name longer than Postgres allows', () => {
    const named = (name: string): readonly CatalogChange[] => [
      { put: 'schema', object: { id: 1, name, owner: 1, grants: [] } },
    ];
    expect(() => encodeChanges(named('é'.repeat(32)))).toThrow('too long');
    expect(decodeChanges(encodeChanges(named('é'.repeat(31))))).toHaveLength(1);
  });

  test('a table spread over no parts', () => {
    const spread = { column: 1, parts: 0 };
    const object = { ...accounts, spread };
    expect(() => encodeChanges([{ put: 'relation', object }])).toThrow('out of range');
  });

  test('a catalog out of order', () => {
    const base = applyChanges(EMPTY_CATALOG, changes.slice(0, 1));
    const schemas = new Map([...base.schemas, [5, { ...base.schemas.get(20)!, id: 5 }]]);
    const bytes = encodeCatalog({ ...base, schemas } as Catalog);
    expect([...decodeCatalog(bytes).schemas.keys()]).toEqual([5, 20]);
  });

  test('a body longer than a block may be', () => {
    const bundle = {
      ...block.bundles[0]!,
      transactions: [new Uint8Array(600_000), new Uint8Array(600_000)],
    };
    expect(() => encodeBody({ bundles: [bundle], system: [] })).toThrow('too long');
  });

  test('signatures of a certificate that do not ascend', () => {
    const [first, second] = voted.signatures;
    for (const signatures of [
      [second, first],
      [first, first],
    ]) {
      expect(() => encodeCertificate({ ...voted, signatures })).toThrow('ascending');
    }
  });

  test('rules that cannot be', () => {
    expect(() => encodeConfig({ ...config, f: 1 })).toThrow('cannot bear 1 faults');
    expect(() => encodeConfig({ ...config, observers: config.members })).toThrow('twice');
    expect(() => encodeConfig({ ...config, eligible: [1] })).toThrow('no such member');
  });

  test('a node listed twice', () => {
    const node = chain.genesis.nodes[0]!;
    expect(() => encodeGenesis({ ...chain.genesis, nodes: [node, node] })).toThrow('twice');
  });

  test('solo is one node, and members carry their addresses', () => {
    const nodes = [
      { publicKey: bytes32, address: 'a.example:7000' },
      { publicKey: new Uint8Array(32).fill(5), address: '' },
    ];
    expect(() => encodeGenesis({ ...chain.genesis, nodes })).toThrow('solo is one node');
    const genesis = { ...chain.genesis, nodes, consensus: 'raft' as const };
    expect(decodeGenesis(encodeGenesis(genesis))).toEqual(genesis);
    expect(genesisConfig(genesis).members).toEqual(nodes);
  });
});
