// Reads that wait for what was confirmed before them: served in any order of news, given up with the reason.

import { expect, test } from '@jest/globals';
import { Reads } from '../../../consensus/reads.ts';

/** What became of each read so far. */
async function outcomes(...reads: readonly Promise<void>[]): Promise<unknown[]> {
  const waiting = new Promise((resolve) => setImmediate(resolve, 'waits'));
  return Promise.all(
    reads.map((read) =>
      Promise.race([read.then(() => 'served'), waiting]).catch(
        ({ sqlstate, message }: { sqlstate: string; message: string }) => `${sqlstate} ${message}`,
      ),
    ),
  );
}

test('a read is served when the block that the replica names is executed, not before', async () => {
  const reads = new Reads(5);
  const [a, b, c] = [reads.begin(100), reads.begin(100), reads.begin(100)];
  reads.ready(a.id, 5);
  reads.ready(b.id, 7);
  expect(await outcomes(a.outcome, b.outcome, c.outcome)).toEqual(['served', 'waits', 'waits']);
  reads.executed(6);
  expect(await outcomes(b.outcome)).toEqual(['waits']);
  reads.executed(7);
  expect(await outcomes(b.outcome, c.outcome)).toEqual(['served', 'waits']);
  reads.ready(c.id, 7);
  expect(await outcomes(c.outcome)).toEqual(['served']);
});

test('what waits too long is told whether nobody answers or this node is behind', async () => {
  const reads = new Reads(5);
  const [a, b, c] = [reads.begin(100), reads.begin(100), reads.begin(200)];
  reads.ready(b.id, 9);
  reads.expire(99);
  expect(await outcomes(a.outcome, b.outcome)).toEqual(['waits', 'waits']);
  reads.expire(100);
  expect(await outcomes(a.outcome, b.outcome, c.outcome)).toEqual([
    expect.stringMatching(/^57P03 .*too few members answer/),
    expect.stringMatching(/^57P03 .*not executed block 9/),
    'waits',
  ]);
  // News that come too late change nothing.
  reads.ready(a.id, 5);
  reads.expire(Infinity);
  expect(await outcomes(c.outcome)).toEqual([expect.stringContaining('57P03')]);
});
