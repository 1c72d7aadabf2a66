// The anomalies that isolation levels are told apart by, as steps of two or three sessions, and what each level answers. Pure.
//
// Names: G0 to G2 of Adya (1999); P4 of Berenson and others (1995); PMP, predicate-many-preceders, and OTV, observed
// transaction vanishes, of Bailis and others (2014).
//
// A step is `session: statement`. `session…` waits for the answer of what that session has sent before. What a step answers:
// rows as `id=value`, a number of changed rows, a command's tag, an SQLSTATE, or `waits`, when it waits for a lock.
// Once a session has failed, its steps but COMMIT are left out, and say `-`.

export const LEVELS = ['read committed', 'repeatable read', 'serializable'] as const;
export type Level = (typeof LEVELS)[number];

export interface Anomaly {
  readonly name: string;
  readonly steps: readonly string[];
  /** What PostgreSQL 15 answers. */
  readonly answers: Readonly<Record<Level, string>>;
  /** Where a node answers something else, and why. */
  readonly node?: { readonly answers: Partial<Record<Level, string>>; readonly why: string };
}

export const TABLE = 'CREATE TABLE test (id int PRIMARY KEY, value int NOT NULL)';
export const ROWS = 'INSERT INTO test VALUES (1, 10), (2, 20)';

const AT_COMMIT =
  'what was read is looked at when the transaction commits, and not before (docs/sql.md)';
const BLIND = 'updates of a row by its key whose result nobody looks at do not wait (docs/sql.md)';
const AGAIN = 'a statement that had to wait runs again as a whole (docs/sql.md)';

const all = (answers: string): Record<Level, string> => ({
  'read committed': answers,
  'repeatable read': answers,
  serializable: answers,
});

export const ANOMALIES: readonly Anomaly[] = [
  {
    name: 'G0, dirty write',
    steps: [
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '2: UPDATE test SET value = 12 WHERE id = 1',
      '1: UPDATE test SET value = 21 WHERE id = 2',
      '1: COMMIT',
      '2…',
      '2: UPDATE test SET value = 22 WHERE id = 2',
      '2: COMMIT',
      '3: SELECT * FROM test ORDER BY id',
    ],
    answers: {
      'read committed': '1, waits, 1, COMMIT, 1, 1, COMMIT, 1=12 2=22',
      'repeatable read': '1, waits, 1, COMMIT, 40001, -, ROLLBACK, 1=11 2=21',
      serializable: '1, waits, 1, COMMIT, 40001, -, ROLLBACK, 1=11 2=21',
    },
    node: {
      answers: {
        'read committed': '1, 1, 1, COMMIT, 1, 1, COMMIT, 1=12 2=22',
      },
      why: BLIND,
    },
  },
  {
    name: 'G0, dirty write of values that were read',
    steps: [
      '1: UPDATE test SET value = value + 1 WHERE value > 0 RETURNING id, value',
      '2: UPDATE test SET value = value + 2 WHERE value > 0 RETURNING id, value',
      '1: COMMIT',
      '2…',
      '2: COMMIT',
      '3: SELECT * FROM test ORDER BY id',
    ],
    answers: {
      'read committed': '1=11 2=21, waits, COMMIT, 1=13 2=23, COMMIT, 1=13 2=23',
      'repeatable read': '1=11 2=21, waits, COMMIT, 40001, ROLLBACK, 1=11 2=21',
      serializable: '1=11 2=21, waits, COMMIT, 40001, ROLLBACK, 1=11 2=21',
    },
  },
  {
    name: 'G1a, aborted read',
    steps: [
      '1: UPDATE test SET value = 101 WHERE id = 1',
      '2: SELECT * FROM test ORDER BY id',
      '1: ROLLBACK',
      '2: SELECT * FROM test ORDER BY id',
      '2: COMMIT',
    ],
    answers: all('1, 1=10 2=20, ROLLBACK, 1=10 2=20, COMMIT'),
  },
  {
    name: 'G1a, aborted read of a savepoint',
    steps: [
      '1: SAVEPOINT s',
      '1: UPDATE test SET value = 101 WHERE id = 1',
      '1: INSERT INTO test VALUES (3, 30)',
      '1: ROLLBACK TO s',
      '1: UPDATE test SET value = 21 WHERE id = 2',
      '1: COMMIT',
      '2: SELECT * FROM test ORDER BY id',
      '2: COMMIT',
    ],
    answers: all('SAVEPOINT, 1, 1, ROLLBACK, 1, COMMIT, 1=10 2=21, COMMIT'),
  },
  {
    name: 'G1b, intermediate read',
    steps: [
      '1: UPDATE test SET value = 101 WHERE id = 1',
      '2: SELECT * FROM test ORDER BY id',
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '1: COMMIT',
      '2: SELECT * FROM test ORDER BY id',
      '2: COMMIT',
    ],
    answers: {
      'read committed': '1, 1=10 2=20, 1, COMMIT, 1=11 2=20, COMMIT',
      'repeatable read': '1, 1=10 2=20, 1, COMMIT, 1=10 2=20, COMMIT',
      serializable: '1, 1=10 2=20, 1, COMMIT, 1=10 2=20, COMMIT',
    },
  },
  {
    name: 'G1c, circular information flow',
    steps: [
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '2: UPDATE test SET value = 22 WHERE id = 2',
      '1: SELECT * FROM test WHERE id = 2',
      '2: SELECT * FROM test WHERE id = 1',
      '1: COMMIT',
      '2: COMMIT',
    ],
    answers: {
      'read committed': '1, 1, 2=20, 1=10, COMMIT, COMMIT',
      'repeatable read': '1, 1, 2=20, 1=10, COMMIT, COMMIT',
      serializable: '1, 1, 2=20, 1=10, COMMIT, 40001',
    },
  },
  {
    name: 'OTV, observed transaction vanishes',
    steps: [
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '1: UPDATE test SET value = 19 WHERE id = 2',
      '2: UPDATE test SET value = 12 WHERE id = 1',
      '1: COMMIT',
      '2…',
      '3: SELECT * FROM test WHERE id = 1',
      '2: UPDATE test SET value = 18 WHERE id = 2',
      '3: SELECT * FROM test WHERE id = 2',
      '2: COMMIT',
      '3: SELECT * FROM test ORDER BY id',
      '3: COMMIT',
    ],
    answers: {
      'read committed': '1, 1, waits, COMMIT, 1, 1=11, 1, 2=19, COMMIT, 1=12 2=18, COMMIT',
      'repeatable read': '1, 1, waits, COMMIT, 40001, 1=11, -, 2=19, ROLLBACK, 1=11 2=19, COMMIT',
      serializable: '1, 1, waits, COMMIT, 40001, 1=11, -, 2=19, ROLLBACK, 1=11 2=19, COMMIT',
    },
    node: {
      answers: {
        'read committed': '1, 1, 1, COMMIT, 1, 1=11, 1, 2=19, COMMIT, 1=12 2=18, COMMIT',
      },
      why: BLIND,
    },
  },
  {
    name: 'PMP, a predicate that is read twice',
    steps: [
      '1: SELECT * FROM test WHERE value = 30',
      '2: INSERT INTO test VALUES (3, 30)',
      '2: COMMIT',
      '1: SELECT * FROM test WHERE value % 3 = 0',
      '1: COMMIT',
    ],
    answers: {
      'read committed': 'none, 1, COMMIT, 3=30, COMMIT',
      'repeatable read': 'none, 1, COMMIT, none, COMMIT',
      serializable: 'none, 1, COMMIT, none, COMMIT',
    },
  },
  {
    name: 'PMP, a predicate that is read and then written by',
    steps: [
      '1: UPDATE test SET value = value + 10',
      '2: SELECT * FROM test WHERE value = 20',
      '2: DELETE FROM test WHERE value = 20',
      '1: COMMIT',
      '2…',
      '2: SELECT * FROM test WHERE value = 20',
      '2: COMMIT',
      '3: SELECT * FROM test ORDER BY id',
    ],
    answers: {
      'read committed': '2, 2=20, waits, COMMIT, 0, 1=20, COMMIT, 1=20 2=30',
      'repeatable read': '2, 2=20, waits, COMMIT, 40001, -, ROLLBACK, 1=20 2=30',
      serializable: '2, 2=20, waits, COMMIT, 40001, -, ROLLBACK, 1=20 2=30',
    },
    node: {
      answers: {
        'read committed': '2, 2=20, waits, COMMIT, 1, none, COMMIT, 2=30',
      },
      why: AGAIN,
    },
  },
  {
    name: 'P4, lost update',
    steps: [
      '1: SELECT * FROM test WHERE id = 1',
      '2: SELECT * FROM test WHERE id = 1',
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '2: UPDATE test SET value = 12 WHERE id = 1',
      '1: COMMIT',
      '2…',
      '2: COMMIT',
      '3: SELECT * FROM test WHERE id = 1',
    ],
    answers: {
      'read committed': '1=10, 1=10, 1, waits, COMMIT, 1, COMMIT, 1=12',
      'repeatable read': '1=10, 1=10, 1, waits, COMMIT, 40001, ROLLBACK, 1=11',
      serializable: '1=10, 1=10, 1, waits, COMMIT, 40001, ROLLBACK, 1=11',
    },
    node: {
      answers: {
        'read committed': '1=10, 1=10, 1, 1, COMMIT, 1, COMMIT, 1=12',
      },
      why: BLIND,
    },
  },
  {
    name: 'P4, no lost update where the row is locked as it is read',
    steps: [
      '1: SELECT * FROM test WHERE id = 1 FOR UPDATE',
      '2: SELECT * FROM test WHERE id = 1 FOR UPDATE',
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '1: COMMIT',
      '2…',
      '2: UPDATE test SET value = 12 WHERE id = 1',
      '2: COMMIT',
      '3: SELECT * FROM test WHERE id = 1',
    ],
    answers: {
      'read committed': '1=10, waits, 1, COMMIT, 1=11, 1, COMMIT, 1=12',
      'repeatable read': '1=10, waits, 1, COMMIT, 40001, -, ROLLBACK, 1=11',
      serializable: '1=10, waits, 1, COMMIT, 40001, -, ROLLBACK, 1=11',
    },
  },
  {
    name: 'G-single, read skew',
    steps: [
      '1: SELECT * FROM test WHERE id = 1',
      '2: SELECT * FROM test ORDER BY id',
      '2: UPDATE test SET value = 12 WHERE id = 1',
      '2: UPDATE test SET value = 18 WHERE id = 2',
      '2: COMMIT',
      '1: SELECT * FROM test WHERE id = 2',
      '1: COMMIT',
    ],
    answers: {
      'read committed': '1=10, 1=10 2=20, 1, 1, COMMIT, 2=18, COMMIT',
      'repeatable read': '1=10, 1=10 2=20, 1, 1, COMMIT, 2=20, COMMIT',
      serializable: '1=10, 1=10 2=20, 1, 1, COMMIT, 2=20, COMMIT',
    },
  },
  {
    name: 'G-single, read skew of a predicate',
    steps: [
      '1: SELECT * FROM test WHERE value % 5 = 0 ORDER BY id',
      '2: UPDATE test SET value = 12 WHERE value = 10',
      '2: COMMIT',
      '1: SELECT * FROM test WHERE value % 3 = 0',
      '1: COMMIT',
    ],
    answers: {
      'read committed': '1=10 2=20, 1, COMMIT, 1=12, COMMIT',
      'repeatable read': '1=10 2=20, 1, COMMIT, none, COMMIT',
      serializable: '1=10 2=20, 1, COMMIT, none, COMMIT',
    },
  },
  {
    name: 'G-single, read skew of a predicate that is written by',
    steps: [
      '1: SELECT * FROM test WHERE id = 1',
      '2: SELECT * FROM test ORDER BY id',
      '2: UPDATE test SET value = 12 WHERE id = 1',
      '2: UPDATE test SET value = 18 WHERE id = 2',
      '2: COMMIT',
      '1: DELETE FROM test WHERE value = 20',
      '1: COMMIT',
      '3: SELECT * FROM test ORDER BY id',
    ],
    answers: {
      'read committed': '1=10, 1=10 2=20, 1, 1, COMMIT, 0, COMMIT, 1=12 2=18',
      'repeatable read': '1=10, 1=10 2=20, 1, 1, COMMIT, 40001, ROLLBACK, 1=12 2=18',
      serializable: '1=10, 1=10 2=20, 1, 1, COMMIT, 40001, ROLLBACK, 1=12 2=18',
    },
  },
  {
    name: 'G2-item, write skew',
    steps: [
      '1: SELECT * FROM test WHERE id IN (1, 2) ORDER BY id',
      '2: SELECT * FROM test WHERE id IN (1, 2) ORDER BY id',
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '2: UPDATE test SET value = 21 WHERE id = 2',
      '1: COMMIT',
      '2: COMMIT',
    ],
    answers: {
      'read committed': '1=10 2=20, 1=10 2=20, 1, 1, COMMIT, COMMIT',
      'repeatable read': '1=10 2=20, 1=10 2=20, 1, 1, COMMIT, COMMIT',
      serializable: '1=10 2=20, 1=10 2=20, 1, 1, COMMIT, 40001',
    },
  },
  {
    name: 'G2-item, write skew of rows found by key',
    steps: [
      '1: SELECT * FROM test WHERE id = 2',
      '2: SELECT * FROM test WHERE id = 1',
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '2: UPDATE test SET value = 21 WHERE id = 2',
      '1: COMMIT',
      '2: COMMIT',
    ],
    answers: {
      'read committed': '2=20, 1=10, 1, 1, COMMIT, COMMIT',
      'repeatable read': '2=20, 1=10, 1, 1, COMMIT, COMMIT',
      serializable: '2=20, 1=10, 1, 1, COMMIT, 40001',
    },
  },
  {
    name: 'G2-item, keys that were read and are not there',
    steps: [
      '1: SELECT * FROM test WHERE id = 4',
      '2: SELECT * FROM test WHERE id = 3',
      '1: INSERT INTO test VALUES (3, 30)',
      '2: INSERT INTO test VALUES (4, 40)',
      '1: COMMIT',
      '2: COMMIT',
    ],
    answers: {
      'read committed': 'none, none, 1, 1, COMMIT, COMMIT',
      'repeatable read': 'none, none, 1, 1, COMMIT, COMMIT',
      serializable: 'none, none, 1, 1, COMMIT, 40001',
    },
  },
  {
    name: 'G2, anti-dependency cycle of predicates',
    steps: [
      '1: SELECT * FROM test WHERE value % 3 = 0',
      '2: SELECT * FROM test WHERE value % 3 = 0',
      '1: INSERT INTO test VALUES (3, 30)',
      '2: INSERT INTO test VALUES (4, 42)',
      '1: COMMIT',
      '2: COMMIT',
      '3: SELECT * FROM test WHERE value % 3 = 0 ORDER BY id',
    ],
    answers: {
      'read committed': 'none, none, 1, 1, COMMIT, COMMIT, 3=30 4=42',
      'repeatable read': 'none, none, 1, 1, COMMIT, COMMIT, 3=30 4=42',
      serializable: 'none, none, 1, 1, COMMIT, 40001, 3=30',
    },
  },
  {
    name: 'G2, predicates that are written by',
    steps: [
      '1: UPDATE test SET value = 0 WHERE value % 3 = 0',
      '2: DELETE FROM test WHERE value % 7 = 0',
      '1: INSERT INTO test VALUES (3, 14)',
      '2: INSERT INTO test VALUES (4, 9)',
      '1: COMMIT',
      '2: COMMIT',
    ],
    answers: {
      'read committed': '0, 0, 1, 1, COMMIT, COMMIT',
      'repeatable read': '0, 0, 1, 1, COMMIT, COMMIT',
      serializable: '0, 0, 1, 1, COMMIT, 40001',
    },
  },
  {
    name: 'G2, a predicate that INSERT reads from',
    steps: [
      '1: INSERT INTO test SELECT 3, coalesce(sum(value), 0) FROM test',
      '2: INSERT INTO test SELECT 4, coalesce(sum(value), 0) FROM test',
      '1: COMMIT',
      '2: COMMIT',
      '3: SELECT * FROM test ORDER BY id',
    ],
    answers: {
      'read committed': '1, 1, COMMIT, COMMIT, 1=10 2=20 3=30 4=30',
      'repeatable read': '1, 1, COMMIT, COMMIT, 1=10 2=20 3=30 4=30',
      serializable: '1, 1, COMMIT, 40001, 1=10 2=20 3=30',
    },
  },
  {
    name: 'G2, two anti-dependencies and a reader',
    steps: [
      '1: SELECT * FROM test ORDER BY id',
      '2: UPDATE test SET value = value + 5 WHERE id = 2',
      '2: COMMIT',
      '3: SELECT * FROM test ORDER BY id',
      '3: COMMIT',
      '1: UPDATE test SET value = 0 WHERE id = 1',
      '1: COMMIT',
    ],
    answers: {
      'read committed': '1=10 2=20, 1, COMMIT, 1=10 2=25, COMMIT, 1, COMMIT',
      'repeatable read': '1=10 2=20, 1, COMMIT, 1=10 2=25, COMMIT, 1, COMMIT',
      serializable: '1=10 2=20, 1, COMMIT, 1=10 2=25, COMMIT, 40001, ROLLBACK',
    },
    node: {
      answers: {
        serializable: '1=10 2=20, 1, COMMIT, 1=10 2=25, COMMIT, 1, 40001',
      },
      why: AT_COMMIT,
    },
  },
  {
    name: 'a key that another session inserts',
    steps: [
      '1: INSERT INTO test VALUES (3, 30)',
      '2: INSERT INTO test VALUES (3, 31) ON CONFLICT (id) DO UPDATE SET value = test.value + 1',
      '1: COMMIT',
      '2…',
      '2: COMMIT',
      '3: SELECT * FROM test ORDER BY id',
    ],
    answers: {
      'read committed': '1, waits, COMMIT, 1, COMMIT, 1=10 2=20 3=31',
      'repeatable read': '1, waits, COMMIT, 40001, ROLLBACK, 1=10 2=20 3=30',
      serializable: '1, waits, COMMIT, 40001, ROLLBACK, 1=10 2=20 3=30',
    },
  },
  {
    name: 'a row that another session has inserted unseen, and DO NOTHING',
    steps: [
      '1: SELECT * FROM test ORDER BY id',
      '2: INSERT INTO test VALUES (3, 30)',
      '2: COMMIT',
      '1: INSERT INTO test VALUES (3, 31) ON CONFLICT DO NOTHING',
      '1: COMMIT',
    ],
    answers: {
      'read committed': '1=10 2=20, 1, COMMIT, 0, COMMIT',
      'repeatable read': '1=10 2=20, 1, COMMIT, 40001, ROLLBACK',
      serializable: '1=10 2=20, 1, COMMIT, 40001, ROLLBACK',
    },
  },
  {
    name: 'P4, lost update by ON CONFLICT',
    steps: [
      '1: SELECT * FROM test ORDER BY id',
      '2: UPDATE test SET value = 11 WHERE id = 1',
      '2: COMMIT',
      '1: INSERT INTO test VALUES (1, 12) ON CONFLICT (id) DO UPDATE SET value = excluded.value',
      '1: COMMIT',
      '3: SELECT * FROM test WHERE id = 1',
    ],
    answers: {
      'read committed': '1=10 2=20, 1, COMMIT, 1, COMMIT, 1=12',
      'repeatable read': '1=10 2=20, 1, COMMIT, 40001, ROLLBACK, 1=11',
      serializable: '1=10 2=20, 1, COMMIT, 40001, ROLLBACK, 1=11',
    },
  },
  {
    name: 'the locks of a transaction that has failed, and those from before a savepoint',
    steps: [
      '1: UPDATE test SET value = 11 WHERE id = 1 RETURNING id, value',
      '1: SAVEPOINT s',
      '1: UPDATE test SET value = 21 WHERE id = 2 RETURNING id, value',
      '1: SELECT 1 / 0',
      '2: SELECT * FROM test WHERE id = 2 FOR UPDATE',
      '3: SELECT * FROM test WHERE id = 1 FOR UPDATE',
      '1: COMMIT',
      '3…',
      '2: COMMIT',
      '3: COMMIT',
    ],
    answers: all('1=11, SAVEPOINT, 2=21, 22012, 2=20, waits, ROLLBACK, 1=10, COMMIT, COMMIT'),
  },
  {
    name: 'a deadlock',
    steps: [
      '1: UPDATE test SET value = 11 WHERE id = 1',
      '2: UPDATE test SET value = 22 WHERE id = 2',
      '2: SELECT * FROM test WHERE id = 2 FOR UPDATE',
      '1: SELECT * FROM test WHERE id = 2 FOR UPDATE',
      '2: SELECT * FROM test WHERE id = 1 FOR UPDATE',
      '1…',
      '2: COMMIT',
      '1: COMMIT',
    ],
    answers: all('1, 1, 2=22, waits, waits, 40P01, COMMIT, ROLLBACK'),
    node: {
      answers: all('1, 1, 2=22, waits, 40P01, 2=20, ROLLBACK, COMMIT'),
      why: 'a wait that would close a circle is refused before it begins; PostgreSQL looks after a second, at either of them',
    },
  },
];
