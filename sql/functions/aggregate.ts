// Aggregates: those that fold, and the finals of those that collect. Pure.
//
// A fold is an aggregate of SQLite with a state of ours; `collect` is the one that gathers rows, and a final
// is a function of what it gathered. Results follow PostgreSQL's own algorithms, so that digits agree.

import { encodeArray, decodeArray, dimensions } from '../../ledger/array-value.ts';
import { hex } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import { floatResult, narrowFloat } from '../../ledger/float.ts';
import { normalizeJsonb, quoteJson } from '../../ledger/jsonb.ts';
import {
  addDecimal,
  decodeNumeric,
  divideDecimal,
  encodeNumeric,
  integerToDecimal,
  multiplyDecimal,
  subtractDecimal,
} from '../../ledger/numeric.ts';
import {
  addInterval,
  decodeInterval,
  encodeInterval,
  negateInterval,
  scaleInterval,
} from '../../ledger/datetime.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { foldKey } from '../../storage/names.ts';
import { compareValues, joinHalves, sortKeyOf } from './core.ts';
import { jsonText } from './json-value.ts';
import { pack, unpack } from './pack.ts';
import { squareRoot } from './root.ts';
import type { Decimal } from '../../ledger/numeric.ts';
import type { Float } from '../../ledger/float.ts';
import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import { readType } from './function.ts';
import type { FunctionTable, SessionFunctions, Signature } from './function.ts';

/** A fold over the rows of a group. `inverse` takes a row out again, for moving window frames. */
export interface Fold {
  readonly start: () => unknown;
  readonly step: (state: never, ...args: Datum[]) => unknown;
  readonly inverse: (state: never, ...args: Datum[]) => unknown;
  readonly result: (state: never) => Datum;
}

interface NumericState {
  sum: Decimal;
  count: bigint;
}

const ZERO: Decimal = { coefficient: 0n, scale: 0 };

function numericFold(result: (state: NumericState) => Decimal): Fold {
  return {
    start: () => ({ values: [] as Decimal[] }),
    step: (state: { values: Decimal[] }, value: Datum) => {
      if (value !== null) state.values.push(decodeNumeric(value as Uint8Array));
      return state;
    },
    inverse: (state: { values: Decimal[] }, value: Datum) => {
      if (value !== null) state.values.shift();
      return state;
    },
    result: (state: { values: Decimal[] }) => {
      const { values } = state;
      if (values.length === 0) return null;
      const sum = values.reduce(addDecimal, ZERO);
      return encodeNumeric(result({ sum, count: BigInt(values.length) }));
    },
  };
}

/** Collects values; `finish` computes the answer from the non-null ones, in order. */
function collecting(finish: (values: readonly Datum[]) => Datum): Fold {
  return {
    start: () => [],
    step: (state: Datum[], value: Datum) => {
      if (value !== null) state.push(value);
      return state;
    },
    inverse: (state: Datum[], value: Datum) => {
      if (value !== null) state.shift();
      return state;
    },
    result: (state: Datum[]) => (state.length === 0 ? null : finish(state)),
  };
}

function sumFloats(values: readonly Datum[], narrow: boolean): Float {
  let sum: Float = 0;
  for (const value of values as Float[]) {
    const next: Float = sum === 'NaN' || value === 'NaN' ? 'NaN' : checked(sum + value, sum, value);
    sum = narrow ? narrowFloat(next) : next;
  }
  return sum;
}

function checked(value: number, ...inputs: readonly number[]): Float {
  return floatResult(
    value,
    inputs.some((input) => !Number.isFinite(input)),
    true,
  );
}

function averageFloats(values: readonly Datum[]): Float {
  const { count, sumX } = moments(values.map((value) => [value]));
  return toFloat(sumX / count);
}

function sumIntervals(values: readonly Datum[]): Datum {
  return encodeInterval(
    values.map((value) => decodeInterval(value as Uint8Array)).reduce(addInterval),
  );
}

function averageIntervals(values: readonly Datum[]): Datum {
  const sum = decodeInterval(sumIntervals(values) as Uint8Array);
  return encodeInterval(scaleInterval(sum, values.length, true));
}

/** Folds by name of the SQLite aggregate. */
export const FOLDS: Readonly<Record<string, Fold>> = {
  sum_numeric: numericFold(({ sum }) => sum),
  avg_numeric: numericFold(({ sum, count }) => divideDecimal(sum, integerToDecimal(count))),
  sum_float8: collecting((values) => sumFloats(values, false)),
  sum_float4: collecting((values) => sumFloats(values, true)),
  avg_float8: collecting(averageFloats),
  avg_float4: collecting(averageFloats),
  sum_interval: collecting(sumIntervals),
  avg_interval: collecting(averageIntervals),
  collect: {
    start: () => [],
    step: (state: Row[], ...row: Datum[]) => {
      state.push(row);
      return state;
    },
    inverse: (state: Row[]) => {
      state.shift();
      return state;
    },
    result: (state: Row[]) => (state.length === 0 ? null : pack(state)),
  },
};

type Final = (
  rows: readonly Row[],
  direct: readonly Datum[],
  session: SessionFunctions,
  signature: Signature,
) => Datum;

/** Rows where every argument is present; statistics leave the others out. */
function complete(rows: readonly Row[]): readonly Row[] {
  return rows.filter((row) => row.every((value) => value !== null));
}

type Moments = { count: number; sumX: number; sumXX: number };

/** Youngs and Cramer, as float8_accum. @throws SqlError 22003 where finite values overflow, in the squares as well */
function moments(rows: readonly Row[]): Moments {
  let count = 0;
  let sumX = 0;
  let sumXX = 0;
  for (const [raw] of rows) {
    const value = raw === 'NaN' ? NaN : (raw as number);
    const before = sumX;
    count += 1;
    sumX += value;
    if (count > 1) {
      const delta = value * count - sumX;
      sumXX += (delta * delta) / (count * (count - 1));
      const infinite = [before, value].some((one) => Math.abs(one) === Infinity);
      for (const sum of [sumX, sumXX]) floatResult(sum, infinite, true);
      if (!Number.isFinite(sumX) || !Number.isFinite(sumXX)) sumXX = NaN;
    } else if (!Number.isFinite(value)) sumXX = NaN;
  }
  return { count, sumX, sumXX };
}

function toFloat(value: number): Float {
  return Number.isNaN(value) ? 'NaN' : value;
}

/** Sum of squared distances: n·Σx² − (Σx)², exactly; and the number of rows. */
function numericVariance(rows: readonly Row[], sample: boolean, root: boolean): Datum {
  const values = rows.map(([value]) =>
    typeof value === 'bigint' ? integerToDecimal(value) : decodeNumeric(value as Uint8Array),
  );
  const count = BigInt(values.length);
  if (count === 0n || (sample && count === 1n)) return null;
  if (values.some((value) => typeof value === 'string')) return encodeNumeric('NaN');
  const n = integerToDecimal(count);
  const sum = values.reduce(addDecimal, ZERO);
  const squares = values.map((value) => multiplyDecimal(value, value)).reduce(addDecimal, ZERO);
  const numerator = subtractDecimal(multiplyDecimal(n, squares), multiplyDecimal(sum, sum));
  if (typeof numerator !== 'string' && numerator.coefficient <= 0n) return encodeNumeric(ZERO);
  const divisor = integerToDecimal(sample ? count * (count - 1n) : count * count);
  const variance = divideDecimal(numerator, divisor);
  if (!root || typeof variance === 'string') return encodeNumeric(variance);
  return encodeNumeric(squareRoot(variance, variance.scale));
}

function variance(sample: boolean, root: boolean): Final {
  return (all, _direct, _session, signature) => {
    const rows = complete(all);
    if (signature.result.base === 'numeric') return numericVariance(rows, sample, root);
    const { count, sumXX } = moments(rows);
    if (count === 0 || (sample && count === 1)) return null;
    const value = sumXX / (sample ? count - 1 : count);
    return toFloat(root ? Math.sqrt(value) : value);
  };
}

interface Regression {
  n: number;
  sx: number;
  sy: number;
  sxx: number;
  syy: number;
  sxy: number;
}

/** float8_regr_accum: the first argument is Y, the second X. */
function regression(final: (state: Regression) => number | null): Final {
  return (all) => {
    const state: Regression = { n: 0, sx: 0, sy: 0, sxx: 0, syy: 0, sxy: 0 };
    for (const [rawY, rawX] of complete(all)) {
      const y = rawY === 'NaN' ? NaN : (rawY as number);
      const x = rawX === 'NaN' ? NaN : (rawX as number);
      state.n += 1;
      state.sx += x;
      state.sy += y;
      if (state.n === 1) continue;
      const dx = x * state.n - state.sx;
      const dy = y * state.n - state.sy;
      const scale = 1 / (state.n * (state.n - 1));
      state.sxx += dx * dx * scale;
      state.syy += dy * dy * scale;
      state.sxy += dx * dy * scale;
    }
    const value = state.n === 0 ? null : final(state);
    return value === null ? null : toFloat(value);
  };
}

function elements(direct: Datum | undefined): readonly (number | null)[] | null {
  return typeof direct === 'string' && direct.startsWith('[')
    ? (decodeArray(direct, 'float8') as readonly (number | null)[])
    : null;
}

function fractionOf(value: Datum): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw new SqlError(
    SQLSTATE.numericValueOutOfRange,
    `percentile value ${String(value)} is not between 0 and 1`,
  );
}

function percentileContinuous(
  values: readonly Datum[],
  fraction: number,
  interval: boolean,
): Datum {
  const position = fraction * (values.length - 1);
  const low = Math.floor(position);
  const high = Math.ceil(position);
  const first = values[low]!;
  const second = values[high]!;
  if (low === high) return first;
  const proportion = position - low;
  if (interval) {
    const from = decodeInterval(first as Uint8Array);
    const difference = addInterval(decodeInterval(second as Uint8Array), negateInterval(from));
    return encodeInterval(addInterval(from, scaleInterval(difference, proportion)));
  }
  if (first === 'NaN' || second === 'NaN') return 'NaN';
  return (first as number) + proportion * ((second as number) - (first as number));
}

function percentile(
  pick: (values: readonly Datum[], fraction: number, signature: Signature) => Datum,
): Final {
  return (all, [direct], _session, signature) => {
    const values = complete(all).map((row) => row[0]!);
    const list = elements(direct);
    if (values.length === 0 || direct === null || direct === undefined) return null;
    if (list === null) return pick(values, fractionOf(direct), signature);
    const picked = list.map((item) =>
      item === null ? null : pick(values, fractionOf(item), signature),
    );
    return encodeArray(picked, signature.result.base);
  };
}

function discrete(values: readonly Datum[], fraction: number): Datum {
  return values[Math.max(Math.ceil(fraction * values.length) - 1, 0)]!;
}

/** The most frequent value; the rows are sorted, so equal ones stand together. */
const mode: Final = (all, _direct, session, signature) => {
  const type = signature.args[0]!;
  let best: Datum = null;
  let bestCount = 0;
  let last: Datum = null;
  let count = 0;
  for (const [value] of complete(all)) {
    count = last !== null && compareValues(value!, last, type, session) === 0 ? count + 1 : 1;
    last = value!;
    if (count > bestCount) [best, bestCount] = [last, count];
  }
  return best;
};

function bits(combine: (left: bigint, right: bigint) => bigint): Final {
  return (all) => {
    const values = complete(all).map((row) => row[0] as bigint);
    return values.length === 0 ? null : values.reduce(combine);
  };
}

const arrayAgg: Final = (rows, _direct, _session, signature) => {
  const type = signature.args[0]!;
  const values = rows.map((row) => row[0]!);
  if (!type.array) return encodeArray(values, type.base);
  const parts = values.map((value) => {
    if (value === null)
      throw new SqlError(SQLSTATE.nullValueNotAllowed, 'cannot accumulate null arrays');
    return decodeArray(value as string, type.base);
  });
  const [first] = parts;
  if (first !== undefined && first.length === 0) {
    throw new SqlError(SQLSTATE.arraySubscriptError, 'cannot accumulate empty arrays');
  }
  if (parts.some((part) => dimensions(part).join() !== dimensions(first!).join())) {
    throw new SqlError(
      SQLSTATE.arraySubscriptError,
      'cannot accumulate arrays of different dimensionality',
    );
  }
  return encodeArray(parts, type.base);
};

function jsonAgg(binary: boolean): Final {
  return (rows, _direct, session, signature) => {
    const type = signature.args[0]!;
    const structured = type.array || type.base === 'record';
    const items = rows.map(([value], at) => {
      // Arrays and rows begin a line of their own, nulls among them do not.
      const between = at === 0 ? '' : structured && value !== null ? ', \n ' : ', ';
      return between + jsonText(value!, type, session);
    });
    const text = `[${items.join('')}]`;
    return binary ? normalizeJsonb(text) : text;
  };
}

function jsonObjectAgg(binary: boolean): Final {
  return (rows, _direct, session, signature) => {
    const members = rows.map(([key, value]) => {
      if (key === null) {
        throw new SqlError(SQLSTATE.nullValueNotAllowed, 'field name must not be null');
      }
      const name = quoteJson(jsonKeyText(key!, signature, session));
      const text = jsonText(value!, signature.args[1]!, session);
      return binary ? `${name}: ${text}` : `${name} : ${text}`;
    });
    return binary ? normalizeJsonb(`{${members.join(', ')}}`) : `{ ${members.join(', ')} }`;
  };
}

function jsonKeyText(key: Datum, signature: Signature, session: SessionFunctions): string {
  const text = jsonText(key, signature.args[0]!, session);
  return text.startsWith('"') ? (JSON.parse(text) as string) : text;
}

const stringAgg: Final = (all, direct, _session, signature) => {
  const rows = all.filter((row) => row[0] !== null);
  if (rows.length === 0) return null;
  const separator = (row: Row): Datum => (row.length > 1 ? row[1]! : (direct[0] ?? null));
  if (signature.result.base !== 'bytea') {
    return rows.map((row, at) => `${at === 0 ? '' : (separator(row) ?? '')}${row[0]}`).join('');
  }
  return Buffer.concat(
    rows.flatMap((row, at) => {
      const between = separator(row);
      const value = row[0] as Uint8Array;
      return at === 0 || between === null ? [value] : [between as Uint8Array, value];
    }),
  );
};

function extremeArray(sign: number): Final {
  return (all, _direct, _session, signature) => {
    const type = signature.args[0]!;
    let best: Datum = null;
    for (const [value] of complete(all)) {
      const key = (item: Datum): Uint8Array => sortKeyOf(item, type) as Uint8Array;
      if (best === null || Buffer.compare(key(value!), key(best)) * sign > 0) best = value!;
    }
    return best;
  };
}

/** Numerics that are equal may differ in scale, so that SQLite's DISTINCT does not do; one of them counts. */
function numericTotal(finish: (sum: Decimal, count: bigint) => Decimal): Final {
  return (all) => {
    const rows = complete(all);
    if (rows.length === 0) return null;
    const values = rows.map(([value]) => decodeNumeric(value as Uint8Array));
    return encodeNumeric(finish(values.reduce(addDecimal, ZERO), BigInt(values.length)));
  };
}

const FINAL_TABLE: Readonly<Record<string, Final>> = {
  stddev: variance(true, true),
  stddev_samp: variance(true, true),
  stddev_pop: variance(false, true),
  variance: variance(true, false),
  var_samp: variance(true, false),
  var_pop: variance(false, false),
  corr: regression(({ sxx, syy, sxy }) =>
    sxx === 0 || syy === 0 ? null : sxy / Math.sqrt(sxx * syy),
  ),
  covar_pop: regression(({ n, sxy }) => sxy / n),
  covar_samp: regression(({ n, sxy }) => (n < 2 ? null : sxy / (n - 1))),
  regr_count: (rows) => BigInt(complete(rows).length),
  regr_avgx: regression(({ n, sx }) => sx / n),
  regr_avgy: regression(({ n, sy }) => sy / n),
  regr_sxx: regression(({ sxx }) => sxx),
  regr_syy: regression(({ syy }) => syy),
  regr_sxy: regression(({ sxy }) => sxy),
  regr_slope: regression(({ sxx, sxy }) => (sxx === 0 ? null : sxy / sxx)),
  regr_intercept: regression(({ n, sx, sy, sxx, sxy }) =>
    sxx === 0 ? null : (sy - (sx * sxy) / sxx) / n,
  ),
  regr_r2: regression(({ sxx, syy, sxy }) =>
    sxx === 0 ? null : syy === 0 ? 1 : (sxy * sxy) / (sxx * syy),
  ),
  percentile_cont: percentile((values, fraction, signature) =>
    percentileContinuous(values, fraction, signature.result.base === 'interval'),
  ),
  percentile_disc: percentile(discrete),
  mode,
  bit_and: bits((left, right) => left & right),
  bit_or: bits((left, right) => left | right),
  bit_xor: bits((left, right) => left ^ right),
  array_agg: arrayAgg,
  string_agg: stringAgg,
  json_agg: jsonAgg(false),
  jsonb_agg: jsonAgg(true),
  json_object_agg: jsonObjectAgg(false),
  jsonb_object_agg: jsonObjectAgg(true),
  sum_numeric: numericTotal((sum) => sum),
  avg_numeric: numericTotal((sum, count) => divideDecimal(sum, integerToDecimal(count))),
  min_array: extremeArray(-1),
  max_array: extremeArray(1),
};

/** Finals as registered functions: (collected rows, direct arguments …). */
export const AGGREGATE_FINALS: FunctionTable = Object.fromEntries(
  Object.entries(FINAL_TABLE).map(([name, final]) => [
    `final_${name}`,
    {
      typed: true as const,
      nullable: true as const,
      impl: (
        [packed, ...direct]: readonly Datum[],
        session: SessionFunctions,
        signature: Signature,
      ) => (packed === null ? null : final(unpack(packed!), direct, session, signature)),
    },
  ]),
);

/** The first of equal values, which may differ in their bytes. */
function distinctRows(rows: readonly Row[], type: SqlType): readonly Row[] {
  const seen = new Set<string>();
  return rows.filter(([value]) => {
    const composed = type.array || type.base === 'jsonb';
    const bytes =
      value === null ? null : composed ? sortKeyOf(value!, type) : foldKey(value!, type);
    const key = bytes instanceof Uint8Array ? `b${hex(bytes)}` : `v${String(bytes)}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** Averages over the halves that the compiler sums, and arrays from collected rows. */
export const AGGREGATE_HELPERS: FunctionTable = {
  distinct_rows: {
    impl: ([code, packed]) => pack(distinctRows(unpack(packed!), readType(code as string))),
  },
  avg_of_halves: {
    impl: ([high, low, scale, count]) => {
      const sum = { coefficient: joinHalves(high!, low!), scale: Number(scale) };
      return encodeNumeric(divideDecimal(sum, integerToDecimal(count as bigint)));
    },
  },
};
