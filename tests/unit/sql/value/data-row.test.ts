// DataRow messages, read back field by field.

import { expect, test } from '@jest/globals';
import { formatScaled } from '../../../../ledger/numeric.ts';
import { sqlType } from '../../../../ledger/type.ts';
import type { Row } from '../../../../ledger/type.ts';
import { DEFAULT_CONTEXT } from '../../../../sql/value/context.ts';
import { dataRowEncoder } from '../../../../sql/value/data-row.ts';

/** The fields of the messages in these bytes; null for NULL. */
function read(bytes: Uint8Array): (Uint8Array | null)[][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rows: (Uint8Array | null)[][] = [];
  let at = 0;
  while (at < bytes.length) {
    expect(bytes[at]).toBe(0x44);
    const end = at + 1 + view.getInt32(at + 1);
    const fields: (Uint8Array | null)[] = [];
    const count = view.getInt16(at + 5);
    at += 7;
    for (let field = 0; field < count; field++) {
      const length = view.getInt32(at);
      at += 4;
      fields.push(length < 0 ? null : bytes.slice(at, at + length));
      at += Math.max(length, 0);
    }
    expect(at).toBe(end);
    rows.push(fields);
  }
  return rows;
}

const text = (bytes: Uint8Array | null | undefined): string | null =>
  bytes === null || bytes === undefined ? null : new TextDecoder().decode(bytes);

test('values of all lengths come out as they went in, across the growth of the buffer', () => {
  const encoder = dataRowEncoder(
    [
      { type: sqlType('int8'), format: 0 },
      { type: sqlType('text'), format: 0 },
    ],
    DEFAULT_CONTEXT,
  );
  const rows: Row[] = [];
  for (let size = 0; size < 60_000; size = size * 2 + 1) {
    rows.push([BigInt(size), 'x'.repeat(size)], [null, 'é€\u{1f600}'.repeat(size % 999)]);
  }
  for (const row of rows) encoder.append(row);
  const found = read(encoder.take()).map((fields) => fields.map(text));
  expect(found).toEqual(rows.map(([id, value]) => [id === null ? null : String(id), value]));
});

test('bytes taken stay as they are while more rows are written', () => {
  const encoder = dataRowEncoder([{ type: sqlType('int4'), format: 1 }], DEFAULT_CONTEXT);
  encoder.append([1n]);
  const first = encoder.take();
  const copy = first.slice();
  for (let at = 0; at < 5_000; at++) encoder.append([BigInt(at)]);
  expect(first).toEqual(copy);
  expect(encoder.size).toBe(5_000 * 15);
});

test('encoders that take turns do not write over each other', () => {
  const column = { type: sqlType('text'), format: 0 };
  const encoders = [1, 2, 3].map(() => dataRowEncoder([column], DEFAULT_CONTEXT));
  const taken: Uint8Array[] = [];
  for (let round = 0; round < 200; round++) {
    encoders.forEach((encoder, i) => encoder.append([`${round} of ${i} ${'x'.repeat(round * i)}`]));
    const encoder = encoders[round % 3]!;
    encoder.append(['last']);
    taken.push(encoder.take());
  }
  const rows = [...taken, ...encoders.map((encoder) => encoder.take())].flatMap(read);
  const found = rows.map(([value]) => text(value)).filter((value) => value !== 'last');
  const expected = Array.from({ length: 200 }, (_, round) =>
    [0, 1, 2].map((i) => `${round} of ${i} ${'x'.repeat(round * i)}`),
  ).flat();
  expect(found).toHaveLength(expected.length);
  expect(new Set(found)).toEqual(new Set(expected));
});

test('a row that cannot be written leaves nothing behind', () => {
  const encoder = dataRowEncoder(
    [
      { type: sqlType('int4'), format: 0 },
      { type: sqlType('record'), format: 1 },
    ],
    DEFAULT_CONTEXT,
  );
  encoder.append([1n, null]);
  const { size } = encoder;
  expect(() => encoder.append([2n, '(1)'])).toThrow('binary output of records is not supported');
  expect(encoder.size).toBe(size);
  expect(read(encoder.take())).toHaveLength(1);
});

test('the typmod shows: scaled numerics get their point, bpchar its blanks', () => {
  const encoder = dataRowEncoder(
    [
      { type: sqlType('numeric', ((10 << 16) | 2) + 4), format: 0 },
      { type: sqlType('bpchar', 7), format: 0 },
    ],
    DEFAULT_CONTEXT,
  );
  encoder.append([-5n, 'a']);
  expect(read(encoder.take())[0]!.map(text)).toEqual(['-0.05', 'a  ']);
});

test.each([0, 1, 2, 8, 15])(
  'integers and decimals of scale %i are written digit by digit',
  (scale) => {
    const type = scale === 0 ? sqlType('int8') : sqlType('numeric', ((18 << 16) | scale) + 4);
    const encoder = dataRowEncoder([{ type, format: 0 }], DEFAULT_CONTEXT);
    const values = [0n, 1n, 9n, 10n, 99n, 100n, 12345n, 2n ** 31n, 2n ** 53n - 1n, 2n ** 53n];
    values.push(2n ** 53n + 1n, 10n ** 15n - 1n, 10n ** 15n, 10n ** 17n + 7n);
    const all = [...values, ...values.map((value) => -value)];
    for (const value of all) encoder.append([value]);
    const found = read(encoder.take()).map(([field]) => text(field));
    expect(found).toEqual(all.map((value) => formatScaled(value, scale)));
  },
);
