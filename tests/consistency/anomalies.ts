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
  /** What the steps after BEGIN answer. */
  readonly answers: Readonly<Record<Level, string>>;
  /** Where PostgreSQL answers something else, and why. */
  readonly postgres?: { readonly answers: Partial<Record<Level, string>>; readonly why: string };
}

export const TABLE = 'CREATE TABLE test (id int PRIMARY KEY, value int NOT NULL)';
export const ROWS = 'INSERT INTO test VALUES (1, 10), (2, 20)';

const AT_COMMIT = 'a node looks at what was read when it commits, and not before (docs/sql.md)';

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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
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
    answers: all(''),
  },
];

export { AT_COMMIT };
