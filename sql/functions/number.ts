// Functions of numbers that are not part of the ledger's language: libm's, the random, and buckets. Pure, but
// for the random.

import { decodeArray } from '../../ledger/array-value.ts';
import { SqlError } from '../../ledger/error.ts';
import { floatResult } from '../../ledger/float.ts';
import {
  compareDecimal,
  decodeNumeric,
  encodeNumeric,
  floorDecimal,
  divideDecimal,
  multiplyDecimal,
  subtractDecimal,
} from '../../ledger/numeric.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { compareValues } from './core.ts';
import { exponential, logarithm, naturalLogarithm, power } from './transcendental.ts';
import { squareRoot } from './root.ts';
import type { Decimal } from '../../ledger/numeric.ts';
import type { Datum } from '../../ledger/type.ts';
import type { EdgeFunction, FunctionTable } from './function.ts';

const RADIANS_PER_DEGREE = 0.017453292519943295;

/** A function of libm over doubles; NaN gives NaN. */
function real(run: (value: number) => number, zeroAllowed = true): EdgeFunction {
  return {
    impl: ([raw]) => {
      if (raw === 'NaN') return 'NaN';
      const value = raw as number;
      const result = run(value);
      return floatResult(result, !Number.isFinite(value), zeroAllowed || value === -Infinity);
    },
  };
}

function outOfDomain(): SqlError {
  return new SqlError(SQLSTATE.numericValueOutOfRange, 'input is out of range');
}

function within(value: number, run: (value: number) => number): number {
  if (value < -1 || value > 1) throw outOfDomain();
  return run(value);
}

function finite(value: number, run: (value: number) => number): number {
  if (!Number.isFinite(value)) throw outOfDomain();
  return run(value);
}

function positive(value: number, run: (value: number) => number): number {
  if (value === 0)
    throw new SqlError(SQLSTATE.invalidArgumentForLogarithm, 'cannot take logarithm of zero');
  if (value < 0) {
    throw new SqlError(
      SQLSTATE.invalidArgumentForLogarithm,
      'cannot take logarithm of a negative number',
    );
  }
  return run(value);
}

function realPower([left, right]: readonly Datum[]): Datum {
  if (left === 'NaN') return right === 0 ? 1 : 'NaN';
  if (right === 'NaN') return left === 1 ? 1 : 'NaN';
  const base = left as number;
  const exponent = right as number;
  if (base === 0 && exponent < 0) {
    throw new SqlError(
      SQLSTATE.invalidArgumentForPower,
      'zero raised to a negative power is undefined',
    );
  }
  if (base < 0 && Number.isFinite(exponent) && !Number.isInteger(exponent)) {
    throw new SqlError(
      SQLSTATE.invalidArgumentForPower,
      'a negative number raised to a non-integer power yields a complex result',
    );
  }
  if (base === 1 || exponent === 0) return 1;
  const infinite = !Number.isFinite(base) || !Number.isFinite(exponent);
  return floatResult(base ** exponent, infinite, infinite || base === 0);
}

function bucketError(message: string): SqlError {
  return new SqlError('2201G', message);
}

function bucketOf(below: boolean, beyond: boolean, inside: () => bigint, count: bigint): bigint {
  return below ? 0n : beyond ? count + 1n : inside();
}

function bucketFloat([raw, low, high, buckets]: readonly Datum[]): Datum {
  const count = buckets as bigint;
  if (count <= 0n) throw bucketError('count must be greater than zero');
  if (raw === 'NaN' || low === 'NaN' || high === 'NaN') {
    throw bucketError('operand, lower bound, and upper bound cannot be NaN');
  }
  const [value, from, to] = [raw, low, high] as [number, number, number];
  if (!Number.isFinite(from) || !Number.isFinite(to))
    throw bucketError('lower and upper bounds must be finite');
  if (from === to) throw bucketError('lower bound cannot equal upper bound');
  const up = from < to;
  const inside = (): bigint =>
    BigInt(Math.floor((Number(count) * (value - from)) / (to - from))) + 1n;
  return bucketOf(up ? value < from : value > from, up ? value >= to : value <= to, inside, count);
}

function bucketNumeric([raw, low, high, buckets]: readonly Datum[]): Datum {
  const count = buckets as bigint;
  if (count <= 0n) throw bucketError('count must be greater than zero');
  const [value, from, to] = [raw, low, high].map((item) => decodeNumeric(item as Uint8Array)) as [
    Decimal,
    Decimal,
    Decimal,
  ];
  if ([value, from, to].includes('NaN'))
    throw bucketError('operand, lower bound, and upper bound cannot be NaN');
  if (typeof from === 'string' || typeof to === 'string')
    throw bucketError('lower and upper bounds must be finite');
  const order = compareDecimal(from, to);
  if (order === 0) throw bucketError('lower bound cannot equal upper bound');
  const inside = (): bigint => {
    const scaled = multiplyDecimal(subtractDecimal(value, from), { coefficient: count, scale: 0 });
    const quotient = floorDecimal(divideDecimal(scaled, subtractDecimal(to, from)));
    return (quotient as { coefficient: bigint }).coefficient + 1n;
  };
  const below = compareDecimal(value, from) * order > 0;
  const beyond = compareDecimal(value, to) * order <= 0;
  return bucketOf(below, beyond, inside, count);
}

function onNumeric(run: (value: Decimal) => Decimal): EdgeFunction {
  return { impl: ([value]) => encodeNumeric(run(decodeNumeric(value as Uint8Array))) };
}

function onNumerics(run: (left: Decimal, right: Decimal) => Decimal): EdgeFunction {
  return {
    impl: ([left, right]) =>
      encodeNumeric(run(decodeNumeric(left as Uint8Array), decodeNumeric(right as Uint8Array))),
  };
}

function factorial(value: bigint): Decimal {
  if (value < 0n)
    throw new SqlError(
      SQLSTATE.numericValueOutOfRange,
      'factorial of a negative number is undefined',
    );
  if (value > 32_177n)
    throw new SqlError(SQLSTATE.numericValueOutOfRange, 'value overflows numeric format');
  let product = 1n;
  for (let factor = 2n; factor <= value; factor += 1n) product *= factor;
  return { coefficient: product, scale: 0 };
}

export const NUMBER: FunctionTable = {
  dexp: real(Math.exp, false),
  dlog1: real((value) => positive(value, Math.log)),
  dlog10: real((value) => positive(value, Math.log10)),
  dpow: { impl: realPower },
  dcbrt: real(Math.cbrt),
  dsin: real((value) => finite(value, Math.sin)),
  dcos: real((value) => finite(value, Math.cos)),
  dtan: real((value) => finite(value, Math.tan)),
  dcot: real((value) => finite(value, (x) => 1 / Math.tan(x))),
  dasin: real((value) => within(value, Math.asin)),
  dacos: real((value) => within(value, Math.acos)),
  datan: real(Math.atan),
  dsinh: real(Math.sinh),
  dcosh: real(Math.cosh),
  dtanh: real(Math.tanh),
  dasinh: real(Math.asinh),
  dacosh: real(Math.acosh),
  datanh: real((value) => within(value, Math.atanh)),
  degrees: real((value) => value / RADIANS_PER_DEGREE),
  radians: real((value) => value * RADIANS_PER_DEGREE),
  dpi: { impl: () => Math.PI },
  datan2: {
    impl: ([y, x]) => (y === 'NaN' || x === 'NaN' ? 'NaN' : Math.atan2(y as number, x as number)),
  },
  drandom: { volatile: true, impl: () => Math.random() },
  width_bucket_float8: { impl: bucketFloat },
  width_bucket_numeric: { impl: bucketNumeric },
  width_bucket_array: {
    typed: true,
    impl: ([value, thresholds], session, { args }) => {
      const type = { ...args[1]!, array: false };
      const list = decodeArray(thresholds as string, type.base) as readonly Datum[];
      return BigInt(list.filter((item) => compareValues(item, value!, type, session) <= 0).length);
    },
  },
  numeric_sqrt: onNumeric(squareRoot),
  numeric_exp: onNumeric(exponential),
  numeric_ln: onNumeric(naturalLogarithm),
  numeric_log: onNumerics(logarithm),
  log_1: onNumeric((value) => logarithm({ coefficient: 10n, scale: 0 }, value)),
  log10_1: onNumeric((value) => logarithm({ coefficient: 10n, scale: 0 }, value)),
  numeric_power: onNumerics(power),
  numeric_fac: { impl: ([value]) => encodeNumeric(factorial(value as bigint)) },
  bytea_bit_count: {
    impl: ([bytes]) =>
      BigInt(
        [...(bytes as Uint8Array)].reduce(
          (sum, byte) => sum + byte.toString(2).replaceAll('0', '').length,
          0,
        ),
      ),
  },
};
