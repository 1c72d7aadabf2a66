import { describe, expect, test } from '@jest/globals';
import { BufferedRows, RowQueue } from '../../../../server/readers/row-source.ts';

/** DataRow messages without columns but for one byte that tells them apart. */
function rows(...marks: number[]) {
  const bytes = Uint8Array.from(marks.flatMap((mark) => [0x44, 0, 0, 0, 5, mark]));
  return { bytes, count: marks.length, done: false };
}

function marks(bytes: Uint8Array): number[] {
  return [...bytes].filter((_, at) => at % 6 === 5);
}

describe('rows read ahead', () => {
  test('come in the order in which they were read, across batches', () => {
    const queue = new RowQueue();
    queue.add(rows(1, 2, 3));
    queue.add(rows(4));
    queue.add(rows(5, 6));
    const first = queue.take(2, false);
    expect([marks(first.bytes), first.count, first.done]).toEqual([[1, 2], 2, false]);
    expect(marks(queue.take(3, false).bytes)).toEqual([3, 4, 5]);
    expect([queue.count, queue.bytes]).toEqual([1, 6]);
    expect(marks(queue.take(0, false).bytes)).toEqual([6]);
    expect([queue.count, queue.bytes]).toEqual([0, 0]);
  });

  test('are at their end only when fewer came than were asked for', () => {
    const queue = new RowQueue();
    queue.add(rows(1, 2));
    expect(queue.take(2, true)).toMatchObject({ count: 2, done: false });
    expect(queue.take(2, true)).toMatchObject({ count: 0, done: true });
  });

  test('are not at their end while more may come', () => {
    const queue = new RowQueue();
    queue.add(rows(1));
    expect(queue.take(5, false)).toMatchObject({ count: 1, done: false });
  });
});

test('rows in memory are given out as asked', () => {
  const source = new BufferedRows(rows(1, 2, 3).bytes, 3);
  expect(marks(source.read(2).bytes)).toEqual([1, 2]);
  expect(source.read(0)).toMatchObject({ count: 1, done: true });
  expect(source.read(1)).toMatchObject({ count: 0, done: true });
});
