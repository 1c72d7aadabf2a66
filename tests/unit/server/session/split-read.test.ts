// What becomes of session functions in a query that a reader runs.

import { describe, expect, test } from '@jest/globals';
import { sqlType } from '../../../../ledger/type.ts';
import { ANSWER_PARAMETERS, splitQuery } from '../../../../server/session/split-read.ts';
import { EMPTY_SELECT } from '../../../../sql/empty-select.ts';
import type { Query, Scalar, Target } from '../../../../sql/ir.ts';

const int8 = sqlType('int8');
const column: Scalar = { kind: 'var', type: int8, entry: 1, column: 1, levelsUp: 0 };

function call(name: string, symbol = name, args: readonly Scalar[] = []): Scalar {
  const volatility = 'volatile' as const;
  const fn = { oid: 0, name, symbol, volatility, strict: true, returnsSet: false };
  return { kind: 'call', type: int8, fn, args, variadic: false, format: 'call' };
}

const shown = (expression: Scalar): Target => ({
  expression,
  name: 'x',
  hidden: false,
  relation: 0,
  column: 0,
  assign: 0,
});

/** SELECT … FROM a table. */
function over(targets: readonly Scalar[], rest: Partial<Query> = {}): Query {
  return {
    ...EMPTY_SELECT,
    entries: [{ kind: 'relation', alias: 't', relation: 9, relationKind: 'table', columns: ['a'] }],
    from: [{ kind: 'ref', entry: 1 }],
    targets: targets.map(shown),
    ...rest,
  };
}

describe('session functions', () => {
  test('that no row decides are answered once, before', () => {
    const pid = call('pg_backend_pid');
    const { query, answers, work } = splitQuery(over([column, pid], { where: pid }));
    expect(work).toBeNull();
    expect(answers).toEqual([pid, pid]);
    const numbers = [query.targets[1]!.expression, query.where].map((each) =>
      each?.kind === 'param' ? each.number - ANSWER_PARAMETERS : 0,
    );
    expect(new Set(numbers)).toEqual(new Set([1, 2]));
  });

  test('with effects are called for each row that is shown', () => {
    const drawn = call('nextval', 'nextval_oid', [column]);
    const { query, answers, work } = splitQuery(over([column, drawn]));
    expect(answers).toEqual([]);
    expect(work?.conditions).toEqual([]);
    expect(work?.columns).toHaveLength(2);
    // The reader delivers the argument behind the columns.
    expect(query.targets.at(-1)!.expression).toEqual(column);
  });

  test('in WHERE come before OFFSET and LIMIT', () => {
    const one: Scalar = { kind: 'const', type: int8, value: 1n };
    const lock = call('pg_try_advisory_lock', 'pg_try_advisory_lock_int8', [column]);
    const { query, work } = splitQuery(over([column], { where: lock, limit: one, offset: one }));
    expect(query).toMatchObject({ where: null, limit: null, offset: null });
    expect(work).toMatchObject({ limit: one, offset: one });
    expect(work?.conditions).toHaveLength(1);
  });

  test('are refused where the rows are not yet those that are shown', () => {
    const drawn = call('nextval', 'nextval_oid', [column]);
    const sorted = { target: 0, descending: false, nullsFirst: false };
    for (const query of [
      over([drawn], { distinct: [sorted] }),
      over([drawn], { sort: [sorted] }),
      over([column], { having: drawn, aggregates: true }),
    ]) {
      expect(() => splitQuery(query)).toThrow(expect.objectContaining({ sqlstate: '0A000' }));
    }
  });
});
