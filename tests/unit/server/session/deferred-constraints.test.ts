// When deferrable foreign keys are checked, and what a savepoint takes back.

import { describe, expect, test } from '@jest/globals';
import type { ForeignKey } from '../../../../ledger/catalog.ts';
import { DeferredConstraints } from '../../../../server/session/deferred-constraints.ts';

const key = (id: number, deferrable: boolean, initiallyDeferred: boolean): ForeignKey => ({
  id,
  name: `fk${id}`,
  columns: [1],
  references: 100,
  referencedColumns: [1],
  index: 101,
  onDelete: 'noAction',
  onUpdate: 'noAction',
  matchFull: false,
  deferrable,
  initiallyDeferred,
});
const FIXED = key(1, false, false);
const IMMEDIATE = key(2, true, false);
const DEFERRED = key(3, true, true);

/** Nobody else wants a turn. */
const at = (): undefined => undefined;

describe('deferred constraints', () => {
  const modes = (constraints: DeferredConstraints): boolean[] =>
    [FIXED, IMMEDIATE, DEFERRED].map((each) => constraints.isDeferred(each));

  test('follow their declaration, then SET CONSTRAINTS; what is not deferrable never waits', () => {
    const constraints = new DeferredConstraints();
    expect(modes(constraints)).toEqual([false, false, true]);
    constraints.set(null, true);
    expect(modes(constraints)).toEqual([false, true, true]);
    constraints.set([2], false);
    expect(modes(constraints)).toEqual([false, false, true]);
    constraints.set(null, true);
    expect(modes(constraints)).toEqual([false, true, true]);
  });

  test('are checked by name or all, as often as is asked', async () => {
    const constraints = new DeferredConstraints();
    const run: number[] = [];
    for (const foreignKey of [IMMEDIATE, DEFERRED]) {
      constraints.owe({ foreignKey, run: () => void run.push(foreignKey.id) });
    }
    await constraints.check([3], at);
    await constraints.check(null, at);
    expect(run).toEqual([3, 2, 3]);
  });

  test('a savepoint takes back modes and checks', async () => {
    const constraints = new DeferredConstraints();
    const run: string[] = [];
    constraints.owe({ foreignKey: DEFERRED, run: () => void run.push('before') });
    const mark = constraints.mark();
    constraints.owe({ foreignKey: DEFERRED, run: () => void run.push('after') });
    constraints.set([3], false);
    constraints.rollbackTo(mark);
    await constraints.check(null, at);
    expect(run).toEqual(['before']);
    expect(modes(constraints)).toEqual([false, false, true]);
  });

  test('wait for the end of a statement of several parts, then for COMMIT if they are deferred', async () => {
    const constraints = new DeferredConstraints();
    const run: number[] = [];
    constraints.postpone();
    expect(modes(constraints)).toEqual([true, true, true]);
    for (const foreignKey of [FIXED, DEFERRED]) {
      constraints.owe({ foreignKey, run: () => void run.push(foreignKey.id) });
    }
    await constraints.settlePostponed(at);
    expect(run).toEqual([1]);
    expect(modes(constraints)).toEqual([false, false, true]);
    await constraints.check(null, at);
    expect(run).toEqual([1, 3]);
  });

  test('act at the end of such a statement, before anything is checked', async () => {
    const constraints = new DeferredConstraints();
    const run: string[] = [];
    constraints.postpone();
    constraints.owe({ foreignKey: FIXED, run: () => void run.push('check') });
    for (const name of ['a', 'b']) {
      constraints.act(async () => {
        run.push(`act ${name}`);
        return async () => void run.push(`check ${name}`);
      });
    }
    await constraints.settlePostponed(at);
    expect(run).toEqual(['act a', 'act b', 'check a', 'check b', 'check']);
  });
});
