// OVER (…): partitions, order and frames. Pure.
//
// SQLite has all of Postgres' frames; its offsets of RANGE are numbers, so an interval over a date or a
// timestamp becomes days or microseconds, and one with months is refused.

import { decodeInterval, MICROS_PER_DAY } from '../../ledger/datetime.ts';
import { numericScale } from '../../ledger/type.ts';
import { decodeNumeric, scaleNumeric } from '../../ledger/numeric.ts';
import { equalityKey, literal, sortKey } from './representation.ts';
import { scalar, typed } from './scalar.ts';
import { notSupported } from './scope.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { FrameBound, Scalar, SortRef, Window } from '../ir.ts';
import type { Scope } from './scope.ts';

export function frameText(window: Window, scope: Scope): string {
  const target = (ref: SortRef): Scalar => scope.query.targets[ref.target]!.expression;
  const parts: string[] = [];
  if (window.partition.length > 0) {
    const keys = window.partition.map((ref) => notOrdinal(equalityKey(typed(target(ref), scope))));
    parts.push(`PARTITION BY ${keys.join(', ')}`);
  }
  const offset = window.start.kind.endsWith('ing') || window.end.kind.endsWith('ing');
  const ranged = window.mode === 'range' && offset && hasOffset(window);
  if (window.order.length > 0) {
    const keys = window.order.map((ref) => {
      const value = typed(target(ref), scope);
      const text =
        ranged && value.type.base === 'date'
          ? `(${value.text} * ${MICROS_PER_DAY})`
          : sortKey(value, scope.shared.options.catalog);
      return `${notOrdinal(text)} ${direction(ref)}`;
    });
    parts.push(`ORDER BY ${keys.join(', ')}`);
  }
  const ordered = window.order[0];
  const type = ordered === undefined ? null : target(ordered).type;
  const bound = (item: FrameBound): string => boundText(item, window, type, scope);
  const exclude = window.exclude === 'none' ? '' : ` EXCLUDE ${window.exclude.toUpperCase()}`;
  parts.push(
    `${window.mode.toUpperCase()} BETWEEN ${bound(window.start)} AND ${bound(window.end)}${exclude}`,
  );
  return parts.join(' ');
}

function hasOffset(window: Window): boolean {
  return [window.start, window.end].some(
    (bound) => bound.kind === 'preceding' || bound.kind === 'following',
  );
}

export function direction(key: {
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}): string {
  return `${key.descending ? 'DESC' : 'ASC'} NULLS ${key.nullsFirst ? 'FIRST' : 'LAST'}`;
}

/** SQLite takes a lone integer in GROUP BY and ORDER BY for the number of a column. */
export function notOrdinal(text: string): string {
  return /^[\s()+-]*\d+[\s()]*$/.test(text) ? "''" : text;
}

function boundText(
  bound: FrameBound,
  window: Window,
  ordered: SqlType | null,
  scope: Scope,
): string {
  switch (bound.kind) {
    case 'unboundedPreceding':
      return 'UNBOUNDED PRECEDING';
    case 'unboundedFollowing':
      return 'UNBOUNDED FOLLOWING';
    case 'currentRow':
      return 'CURRENT ROW';
    case 'preceding':
    case 'following': {
      const offset =
        window.mode === 'range' && ordered !== null
          ? rangeOffset(bound.offset, ordered, scope)
          : scalar(bound.offset, scope);
      return `${offset} ${bound.kind.toUpperCase()}`;
    }
  }
}

function rangeOffset(offset: Scalar, ordered: SqlType, scope: Scope): string {
  const value = offset.kind === 'const' ? offset.value : null;
  if (offset.type.base === 'interval' && value instanceof Uint8Array) {
    const { months, days, micros } = decodeInterval(value);
    if (months !== 0) throw notSupported('a RANGE frame whose offset has months');
    return literal(BigInt(days) * MICROS_PER_DAY + micros);
  }
  const scale = numericScale(ordered);
  if (scale !== null && offset.type.base === 'numeric' && value instanceof Uint8Array) {
    return literal(scaleNumeric(decodeNumeric(value), 18, scale));
  }
  if (ordered.base === 'numeric' || offset.type.base === 'interval') {
    throw notSupported(`a RANGE frame over ${ordered.base} with this offset`);
  }
  return scalar(offset, scope);
}
