// Bytes as text and back, order, and numbers: against Node's own.

import { expect, test } from '@jest/globals';
import {
  base64,
  compare,
  concat,
  equal,
  fromHex,
  fromUtf8,
  hex,
  tryFromBase64,
  tryFromHex,
  uint32,
  utf8,
} from '../../../ledger/bytes.ts';
import { Random } from './random.ts';

test('hexadecimal and base64 are those of Node', () => {
  const random = new Random(4648);
  for (let length = 0; length < 100; length++) {
    const bytes = random.bytes(length);
    const buffer = Buffer.from(bytes);
    expect(hex(bytes)).toBe(buffer.toString('hex'));
    expect(base64(bytes)).toBe(buffer.toString('base64'));
    expect(equal(fromHex(buffer.toString('hex').toUpperCase()), bytes)).toBe(true);
    expect(equal(tryFromBase64(buffer.toString('base64'))!, bytes)).toBe(true);
  }
});

test.each(['a', 'zz', '0x', ' 0', '0\n'])('%j is not hexadecimal', (text) => {
  expect(tryFromHex(text)).toBeNull();
  expect(() => fromHex(text)).toThrow(RangeError);
});

test.each(['A', 'AA', 'AA=', '====', 'A===', 'AB==', 'AAB=', 'AA==AA==', 'A A=', '_w==', 'AAAA\n'])(
  '%j is not canonical base64',
  (text) => {
    expect(tryFromBase64(text)).toBeNull();
  },
);

test('order is that of memcmp', () => {
  const random = new Random(1);
  for (let round = 0; round < 500; round++) {
    const [a, b] = [random.bytes(random.below(4)), random.bytes(random.below(4))];
    expect(Math.sign(compare(a, b))).toBe(Buffer.compare(a, b));
    expect(equal(a, b)).toBe(Buffer.compare(a, b) === 0);
    expect(hex(concat(a, b))).toBe(hex(a) + hex(b));
  }
});

test('integers are big-endian', () => {
  expect(hex(uint32(0xfffefdfc))).toBe('fffefdfc');
  expect(hex(uint32(1))).toBe('00000001');
});

test('UTF-8 is exact, byte order marks included', () => {
  expect(fromUtf8(utf8('\ufeffé漢😀'))).toBe('\ufeffé漢😀');
  expect(() => fromUtf8(Uint8Array.of(0xff))).toThrow(
    expect.objectContaining({ name: 'TypeError' }),
  );
});
