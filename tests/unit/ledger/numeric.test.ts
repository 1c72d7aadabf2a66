// The order-preserving form of numerics, and arithmetic checked by other arithmetic.

import { describe, expect, test } from '@jest/globals';
import { compare, equal, hex } from '../../../ledger/bytes.ts';
import * as numeric from '../../../ledger/numeric.ts';

/** A small generator with a seed, so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function decimals(count: number, seed: number): numeric.FiniteDecimal[] {
  const next = random(seed);
  return Array.from({ length: count }, () => {
    const digits = Math.floor(next() * 40) + 1;
    let text = '';
    for (let at = 0; at < digits; at++) text += Math.floor(next() * 10);
    const coefficient = BigInt(next() < 0.2 ? text.slice(0, 1) + '0'.repeat(digits) : text);
    return {
      coefficient: next() < 0.5 ? -coefficient : coefficient,
      scale: Math.floor(next() * 30),
    };
  });
}

const key = (value: numeric.Decimal): Uint8Array =>
  numeric.numericKey(numeric.encodeNumeric(value));

describe('the order-preserving form', () => {
  test('reads back to the same number and scale', () => {
    for (const value of decimals(3_000, 1)) {
      expect(numeric.decodeNumeric(numeric.encodeNumeric(value))).toEqual(value);
    }
    for (const special of ['NaN', 'Infinity', '-Infinity'] as const) {
      expect(numeric.decodeNumeric(numeric.encodeNumeric(special))).toBe(special);
    }
  });

  test('memcmp of whole values is the order of the numbers', () => {
    const values: numeric.Decimal[] = [
      ...decimals(400, 2),
      'NaN',
      'Infinity',
      '-Infinity',
      numeric.ZERO,
    ];
    for (let at = 1; at < values.length; at++) {
      const [left, right] = [values[at - 1]!, values[at]!];
      const order = numeric.compareDecimal(left, right);
      const bytes = compare(numeric.encodeNumeric(left), numeric.encodeNumeric(right));
      if (order !== 0) expect(Math.sign(bytes)).toBe(Math.sign(order));
    }
    const ladder = [
      '-Infinity',
      '-100',
      '-99.5',
      '-1.01',
      '-1',
      '-0.99',
      '-0.0001',
      '0',
      '1e-20',
      '0.1',
      '0.99',
      '1',
      '1.00000001',
      '1.01',
      '9',
      '10',
      '99',
      '99.99',
      '100',
      '1e20',
      'Infinity',
      'NaN',
    ];
    const sorted = [...ladder].sort((left, right) =>
      compare(
        numeric.encodeNumeric(numeric.parseNumeric(left)),
        numeric.encodeNumeric(numeric.parseNumeric(right)),
      ),
    );
    expect(sorted).toEqual(ladder);
  });

  test('equal numbers have equal keys whatever their scale', () => {
    for (const value of decimals(500, 3)) {
      const wider = { coefficient: value.coefficient * 1_000n, scale: value.scale + 3 };
      expect(equal(key(value), key(wider))).toBe(true);
      expect(
        numeric.compareNumeric(numeric.encodeNumeric(value), numeric.encodeNumeric(wider)),
      ).toBe(0);
    }
  });

  test('is written down, since it is in the chain', () => {
    const bytes = (text: string): string => hex(numeric.encodeNumeric(numeric.parseNumeric(text)));
    expect(bytes('0.00')).toBe('800002');
    expect(bytes('1')).toBe('81400102000000');
    expect(bytes('123.45')).toBe('8140020218' + '2e' + '000002');
    expect(bytes('-123.45')).toBe('7ebffdfde7' + 'd1' + 'ff0002');
    expect(bytes('NaN')).toBe('ff0000');
  });

  test('bytes that are no numeric are refused', () => {
    expect(() => numeric.decodeNumeric(new Uint8Array(0))).toThrow('invalid numeric value');
    expect(() => numeric.decodeNumeric(Uint8Array.of(0x81, 0, 0))).toThrow('invalid numeric value');
  });
});

describe('arithmetic', () => {
  test('(a + b) - b = a, and a × b ÷ b rounds back to a', () => {
    const values = decimals(600, 4);
    for (let at = 1; at < values.length; at++) {
      const [left, right] = [values[at - 1]!, values[at]!];
      const back = numeric.subtractDecimal(numeric.addDecimal(left, right), right);
      expect(numeric.compareDecimal(back, left)).toBe(0);
      if (right.coefficient === 0n) continue;
      const product = numeric.multiplyDecimal(left, right);
      expect(numeric.compareDecimal(numeric.divideDecimal(product, right), left)).toBe(0);
    }
  });

  test('a = (a div b) × b + a mod b, and the remainder has the sign of a', () => {
    const values = decimals(600, 5).filter(({ coefficient }) => coefficient !== 0n);
    for (let at = 1; at < values.length; at++) {
      const [left, right] = [values[at - 1]!, values[at]!];
      const rest = numeric.remainderDecimal(left, right) as numeric.FiniteDecimal;
      const whole = numeric.divideTruncated(left, right);
      const sum = numeric.addDecimal(numeric.multiplyDecimal(whole, right), rest);
      expect(numeric.compareDecimal(sum, left)).toBe(0);
      expect(rest.coefficient === 0n || rest.coefficient < 0n === left.coefficient < 0n).toBe(true);
    }
  });

  test('what Postgres could not hold is refused', () => {
    const huge = numeric.parseNumeric('1e131071');
    expect(() => numeric.multiplyDecimal(huge, numeric.parseNumeric('10'))).toThrow(
      'value overflows numeric format',
    );
    expect(numeric.formatNumeric(huge)).toHaveLength(131_072);
  });
});

describe('the scaled form', () => {
  test('rounds half away from zero and checks the precision', () => {
    const scaled = (text: string): bigint => numeric.scaleNumeric(numeric.parseNumeric(text), 5, 2);
    expect([scaled('1.005'), scaled('-1.005'), scaled('999.994')]).toEqual([101n, -101n, 99_999n]);
    expect(() => scaled('999.995')).toThrow('numeric field overflow');
    expect(() => scaled('inf')).toThrow('numeric field overflow');
    expect(() => scaled('NaN')).toThrow('NaN is not supported');
  });
  test('widens with its scale', () => {
    expect(numeric.formatNumeric(numeric.decodeNumeric(numeric.widenNumeric(-5n, 2)))).toBe(
      '-0.05',
    );
  });
});
