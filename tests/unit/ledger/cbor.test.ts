// The CBOR cursors: RFC 8949's examples, an independent library, everything that is not canonical.

import { describe, expect, test } from '@jest/globals';
import * as cborg from 'cborg';
import { fromHex, hex, utf8 } from '../../../ledger/bytes.ts';
import { CborReader, CborWriter } from '../../../ledger/cbor.ts';
import { isFormatError } from '../../../ledger/error.ts';
import type { Datum } from '../../../ledger/type.ts';
import { Random } from './random.ts';

/** RFC 8949, appendix A: those whose kind of item the format has. */
const EXAMPLES: readonly (readonly [string, Datum])[] = [
  ['00', 0n],
  ['01', 1n],
  ['0a', 10n],
  ['17', 23n],
  ['1818', 24n],
  ['1819', 25n],
  ['1864', 100n],
  ['1903e8', 1000n],
  ['1a000f4240', 1_000_000n],
  ['1b000000e8d4a51000', 1_000_000_000_000n],
  ['20', -1n],
  ['29', -10n],
  ['3863', -100n],
  ['3903e7', -1000n],
  ['f90000', 0],
  ['f93c00', 1],
  ['fb3ff199999999999a', 1.1],
  ['f93e00', 1.5],
  ['f97bff', 65_504],
  ['fa47c35000', 100_000],
  ['fa7f7fffff', 3.4028234663852886e38],
  ['fb7e37e43c8800759c', 1e300],
  ['f90001', 5.960464477539063e-8],
  ['f90400', 0.00006103515625],
  ['f9c400', -4],
  ['fbc010666666666666', -4.1],
  ['f97c00', Infinity],
  ['f9fc00', -Infinity],
  ['f6', null],
  ['40', new Uint8Array(0)],
  ['4401020304', fromHex('01020304')],
  ['60', ''],
  ['6161', 'a'],
  ['6449455446', 'IETF'],
  ['62225c', '"\\'],
  ['62c3bc', 'ü'],
  ['63e6b0b4', '水'],
  ['64f0908591', '\u{10151}'],
];

function write(value: Datum): Uint8Array {
  const writer = new CborWriter();
  writer.datum(value);
  return writer.finish();
}

function read(bytes: Uint8Array): Datum {
  const reader = new CborReader(bytes);
  const value = reader.datum();
  reader.end();
  return value;
}

/** Bytes and texts apart, bigints kept. */
function plain(value: Datum): unknown {
  return value instanceof Uint8Array ? `bytes ${hex(value)}` : value;
}

test.each(EXAMPLES)('RFC 8949: %s', (encoded, value) => {
  expect(hex(write(value))).toBe(encoded);
  expect(plain(read(fromHex(encoded)))).toEqual(plain(value));
});

test('RFC 8949: booleans and arrays', () => {
  const writer = new CborWriter();
  writer.array(25);
  writer.bool(true);
  writer.bool(false);
  expect(hex(writer.finish())).toBe('9819f5f4');
  const reader = new CborReader(fromHex('83f5f401'));
  expect([reader.array(), reader.bool(), reader.bool(), reader.uint()]).toEqual([
    3,
    true,
    false,
    1,
  ]);
});

describe('refused', () => {
  test.each([
    ['18 17', 'one byte for 23'],
    ['19 00ff', 'two bytes for 255'],
    ['1a 0000ffff', 'four bytes for 65535'],
    ['1b 00000000ffffffff', 'eight bytes for 2^32-1'],
    ['38 17', 'a long negative'],
    ['1b 8000000000000000', '2^63'],
    ['3b 8000000000000000', '-2^63 - 1'],
    ['58 01 00', 'a long head of a byte string'],
    ['78 01 61', 'a long head of a text'],
    ['fa 3fc00000', '1.5 in single precision'],
    ['fb 3ff8000000000000', '1.5 in double precision'],
    ['fb 40f86a0000000000', '100000 in double precision'],
    ['f9 7e00', 'NaN'],
    ['fa 7fc00001', 'a NaN of another kind'],
    ['fb 7ff8000000000000', 'a NaN of double precision'],
    ['f9 8000', 'negative zero'],
    ['5f 41 00 ff', 'an indefinite byte string'],
    ['7f 61 61 ff', 'an indefinite text'],
    ['9f ff', 'an indefinite array'],
    ['1c', 'a reserved length'],
    ['1f', 'a reserved length'],
    ['a0', 'a map'],
    ['80', 'an array as a value'],
    ['c0 00', 'a tag'],
    ['f4', 'a boolean as a value'],
    ['f7', 'undefined'],
    ['f8 20', 'a simple value'],
    ['ff', 'a break'],
    ['61 ff', 'what is no UTF-8'],
    ['62 c080', 'overlong UTF-8'],
    ['63 eda080', 'a surrogate'],
    ['00 00', 'a second item'],
    ['', 'nothing'],
    ['19 01', 'half a head'],
    ['42 00', 'half a byte string'],
    ['5b 001fffffffffffff', 'a length of 2^53-1'],
    ['5b ffffffffffffffff', 'a length of 2^64-1'],
    ['7a 7fffffff', 'a text of 2 GiB'],
    ['f9 00', 'half a float'],
  ])('%s: %s', (encoded) => {
    expect(() => read(fromHex(encoded.replaceAll(' ', '')))).toThrow(
      expect.objectContaining({ name: 'FormatError' }),
    );
  });

  test('an array that says it has more items than there are bytes', () => {
    expect(() => new CborReader(fromHex('9a7fffffff00')).array()).toThrow('truncated');
    expect(() => new CborReader(fromHex('83000000')).array(2)).toThrow('more than 2');
  });

  test('numbers out of the range asked for', () => {
    expect(() => new CborReader(fromHex('1818')).uint(23)).toThrow('24 is more than 23');
    expect(() => new CborReader(fromHex('20')).uint()).toThrow('unsigned integer expected');
    expect(() => new CborReader(fromHex('1b0020000000000000')).uint()).toThrow('out of range');
    expect(() => new CborReader(fromHex('21')).integer(-1, 5)).toThrow('out of range');
    expect(() => new CborReader(fromHex('6161')).integer(0, 5)).toThrow('integer expected');
  });

  test('values that have no encoding', () => {
    const writer = new CborWriter();
    expect(() => writer.datum(2n ** 63n)).toThrow('out of range');
    expect(() => writer.datum(-(2n ** 63n) - 1n)).toThrow('out of range');
    expect(() => writer.datum(NaN)).toThrow('NaN');
    expect(() => writer.text('\ud800')).toThrow('surrogate');
    expect(() => writer.uint(-1)).toThrow('out of range');
    expect(() => writer.uint(1.5)).toThrow('out of range');
    expect(() => writer.int(2 ** 53)).toThrow('out of range');
    expect(() => writer.uint(2n ** 64n)).toThrow('out of range');
  });
});

test('a fault says where it is', () => {
  const reader = new CborReader(fromHex('0061ff'));
  reader.uint();
  expect(() => reader.text()).toThrow(expect.objectContaining({ offset: 1 }));
});

test('negative zero is written as zero', () => {
  expect(hex(write(-0))).toBe('f90000');
});

test('int64 and lengths at every border', () => {
  const borders = [
    23n,
    24n,
    255n,
    256n,
    65_535n,
    65_536n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 53n,
    2n ** 63n - 1n,
  ];
  for (const border of borders) {
    for (const value of [border, -border, -border - 1n]) expect(read(write(value))).toBe(value);
  }
  for (const length of [0, 23, 24, 47, 48, 49, 255, 256, 65_535, 65_536, 2_000_000]) {
    for (const character of ['x', 'é', '漢']) {
      const value = character.repeat(length);
      expect(read(write(value)) === value).toBe(true);
    }
    expect((read(write(new Uint8Array(length))) as Uint8Array).length).toBe(length);
  }
});

test('an independent library reads what is written, and writes the same', () => {
  const random = new Random(8949);
  for (let round = 0; round < 3000; round++) {
    const value = random.pick<() => Datum>([
      () => null,
      () => random.int64(),
      () => random.text(random.below(60)),
      () => random.bytes(random.below(60)),
      () => random.float(),
    ])();
    const encoded = write(value);
    const theirs = cborg.decode(encoded, { strict: true });
    if (typeof value === 'bigint') expect(BigInt(theirs as number)).toBe(value);
    else expect(typeof theirs === 'object' ? plain(theirs as Datum) : theirs).toEqual(plain(value));
    // cborg writes whole numbers as integers, we never do: a float stays one.
    if (typeof value !== 'number') expect(hex(cborg.encode(value))).toBe(hex(encoded));
    expect(plain(read(encoded))).toEqual(plain(value));
  }
});

test('every half-precision float has one encoding', () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const encoded = Uint8Array.of(0xf9, bits >> 8, bits & 0xff);
    const nan = (bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0;
    if (nan || bits === 0x8000) continue;
    const value = read(encoded);
    if (value !== cborg.decode(encoded) || hex(write(value)) !== hex(encoded)) {
      throw new Error(`${hex(encoded)} is ${String(value)}`);
    }
  }
});

test('whatever the bytes: a value that encodes to them, or a FormatError', () => {
  const random = new Random(42);
  let values = 0;
  for (let round = 0; round < 40_000; round++) {
    const bytes = random.bytes(1 + random.below(12));
    try {
      const value = read(bytes);
      if (hex(write(value)) !== hex(bytes)) throw new Error(`${hex(bytes)} is not canonical`);
      values++;
    } catch (error) {
      if (!isFormatError(error)) throw error;
    }
  }
  expect(values).toBeGreaterThan(100);
});

test('a writer that has failed or grown is as good as new', () => {
  const writer = new CborWriter();
  writer.array(3);
  expect(() => writer.text('\ud800')).toThrow();
  writer.reset();
  writer.bytes(new Uint8Array(3_000_000));
  expect(writer.finish().length).toBe(3_000_005);
  writer.text('a');
  expect(hex(writer.finish())).toBe('6161');
  expect(utf8('a').length).toBe(1);
});
