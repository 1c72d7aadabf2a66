// Chunks are taken for their hash, from whoever has them.

import { expect, test } from '@jest/globals';
import { hex } from '../../../ledger/bytes.ts';
import { decodeQuestion, encodeAnswer } from '../../../ledger/encoding-repair.ts';
import type { RepairAnswer } from '../../../ledger/encoding-repair.ts';
import { chunkHash } from '../../../ledger/hash.ts';
import { ChunkFetch } from '../../../server/chunk-fetch.ts';
import { systemClock } from '../../../server/clock.ts';
import { CHUNK_FETCH_MS_MAX } from '../../../server/limits.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';

const parts = [1, 2].map((fill) => new Uint8Array(1_000).fill(fill));
const hashes = parts.map((bytes) => chunkHash(crypto, bytes));

/** Asks peers that answer so; a peer without an answer is down. */
function fetchFrom(
  answers: Record<string, ((hash: Uint8Array) => RepairAnswer) | null>,
  clock = systemClock,
) {
  const taken: Uint8Array[] = [];
  const asked: string[] = [];
  const fetch = new ChunkFetch({
    crypto,
    clock,
    put: (bytes) => Promise.resolve(taken.push(bytes)),
    peers: {
      peers: () =>
        Object.entries(answers).map(([key, answer]) => ({
          key,
          connectedSinceMs: answer === null ? null : 1,
        })),
      request: (key, question) => {
        asked.push(key);
        const read = decodeQuestion(question);
        if (read.kind !== 'chunk') throw new Error('not a question for a chunk');
        return Promise.resolve(encodeAnswer(answers[key]!(read.hash)));
      },
    },
  });
  return { fetch, taken, asked };
}

const honest = (hash: Uint8Array): RepairAnswer => ({
  kind: 'chunk',
  bytes: parts[hashes.findIndex((each) => hex(each) === hex(hash))]!,
});

test('what has another hash, or is not there, is asked of the next', async () => {
  const { fetch, taken, asked } = fetchFrom({
    down: null,
    without: () => ({ kind: 'nothing' }),
    liar: () => ({ kind: 'chunk', bytes: new Uint8Array(1_000).fill(9) }),
    honest,
  });
  await fetch.bring(hashes);
  expect(taken).toEqual(parts);
  expect(asked).toEqual(['without', 'liar', 'honest', 'without', 'liar', 'honest']);
});

test('it is given up in time, or when the node stops', async () => {
  let elapsed = 0;
  const clock = { ...systemClock, elapsed: () => (elapsed += CHUNK_FETCH_MS_MAX / 2) };
  const late = fetchFrom({ without: () => ({ kind: 'nothing' }) }, clock);
  await expect(late.fetch.bring(hashes)).rejects.toThrow(`chunk ${hex(hashes[0]!)}`);
  expect(late.taken).toEqual([]);
  const stopped = fetchFrom({ honest });
  stopped.fetch.stop();
  await expect(stopped.fetch.bring(hashes)).rejects.toMatchObject({ fault: 'io' });
  expect(stopped.asked).toEqual([]);
});
