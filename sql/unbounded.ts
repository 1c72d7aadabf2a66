// Which functions may take long: the one list of those whose time or memory is not in proportion to their
// arguments. Pure.
//
// What contains one of them, or a subquery, runs in a reader process, where it can be stopped; all else may
// run on the main thread, and by the writer when a row is applied.

import { REGEX } from './functions/regex.ts';
import { contains } from './compile/scope.ts';
import type { Query, Scalar } from './ir.ts';

/** By Postgres' symbol. Regular expressions may backtrack for ever; the others grow faster than their arguments. */
const UNBOUNDED: ReadonlySet<string> = new Set([
  ...Object.keys(REGEX).filter((symbol) => !symbol.includes('like_')),
  ...regexOperators(),
  'array_fill',
  'array_fill_with_lower_bounds',
  'array_replace',
  'arraycontained',
  'arraycontains',
  'arrayoverlap',
  'jsonb_delete_array',
  'jsonb_exists_all',
  'jsonb_exists_any',
  'log_1',
  'log10_1',
  'numeric_exp',
  'numeric_fac',
  'numeric_ln',
  'numeric_log',
  'numeric_power',
  'numeric_sqrt',
]);

function regexOperators(): string[] {
  const types = ['text', 'bpchar', 'name'];
  const operators = ['regexeq', 'regexne', 'icregexeq', 'icregexne'];
  return types.flatMap((type) => operators.map((operator) => `${type}${operator}`));
}

/** Those that are quick for some constants. */
const DEPENDING: Readonly<Record<string, (args: readonly Scalar[]) => boolean>> = {
  repeat: ([text, count]) => {
    const [filling, times] = [constant(text), constant(count)];
    if (typeof filling !== 'string' || typeof times !== 'bigint') return false;
    return BigInt(filling.length) * times <= FILLED_CHARACTERS_MAX;
  },
  lpad: fillsLittle,
  rpad: fillsLittle,
  replace: ([, from, to]) => {
    const [taken, given] = [constant(from), constant(to)];
    return typeof taken === 'string' && typeof given === 'string' && given.length <= taken.length;
  },
  format: ([template]) => {
    const text = constant(template);
    return typeof text === 'string' && !/[\d*]/.test(text);
  },
};

/** Rows up to which a series is quick. */
const SERIES_ROWS_MAX = 10_000n;

/** Characters up to which filling is quick. */
const FILLED_CHARACTERS_MAX = 65_536n;

/** Whether a scalar's time has no bound but that of the whole statement. */
export function mayRunLong(root: Scalar | readonly Scalar[] | null): boolean {
  return contains(root, (node) => 'command' in node || isUnboundedCall(node));
}

/** Whether this very node is a call of a function of the list. */
export function isUnboundedCall(node: Scalar | Query): boolean {
  if ('command' in node || node.kind !== 'call') return false;
  const { fn, args } = node;
  // Functions written in SQL have no symbol of their own: the compiler tells them by their arguments.
  if (fn.returnsSet || UNBOUNDED.has(fn.symbol) || UNBOUNDED.has(`${fn.name}_${args.length}`))
    return true;
  const isQuick = Object.hasOwn(DEPENDING, fn.name) ? DEPENDING[fn.name] : undefined;
  return isQuick !== undefined && !isQuick(args);
}

function fillsLittle([, length]: readonly Scalar[]): boolean {
  const characters = constant(length);
  return typeof characters === 'bigint' && characters <= FILLED_CHARACTERS_MAX;
}

/** The value of a constant; undefined for anything else, NULL among it. */
function constant(scalar: Scalar | undefined): string | bigint | undefined {
  if (scalar?.kind === 'relabel') return constant(scalar.arg);
  if (scalar?.kind !== 'const' || typeof scalar.value === 'number') return undefined;
  return typeof scalar.value === 'object' ? undefined : scalar.value;
}

/** generate_series whose few rows the text says. */
function isShortSeries(node: Scalar): boolean {
  if (node.kind !== 'call' || node.fn.name !== 'generate_series') return false;
  const [from, to] = node.args.map(constant);
  if (typeof from !== 'bigint' || typeof to !== 'bigint') return false;
  return to - from < SERIES_ROWS_MAX && from - to < SERIES_ROWS_MAX;
}

/** Whether a query may make more rows, or take more steps, than are written in it: by joins, sets and recursion. */
export function multiplies(query: Query): boolean {
  return contains(query, (node) => {
    if (!('command' in node)) return node.kind === 'call' && node.fn.returnsSet;
    const joins = node.from.length > 1 || node.entries.some(({ kind }) => kind === 'join');
    return joins || node.ctes.length > 0;
  });
}

/**
 * Whether a query takes few steps by its form alone: it reads no table and makes no rows but those that are
 * written in it, once.
 */
export function isSmall(query: Query): boolean {
  let values = 0;
  const large = contains(query, (node) => {
    if (!('command' in node)) {
      if (!isShortSeries(node)) return isUnboundedCall(node);
      values += 1;
      return values > 1;
    }
    values += node.entries.filter(({ kind }) => kind === 'values').length;
    const others = node.entries.some(
      ({ kind }) => kind === 'relation' || kind === 'cte' || kind === 'given' || kind === 'join',
    );
    return others || node.from.length > 1 || node.ctes.length > 0 || values > 1;
  });
  return !large;
}
