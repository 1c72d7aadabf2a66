// What a node has of other nodes' chunks: gets them, keeps them as long as it must, and believes nobody.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { fromHex, hex } from '../../../../ledger/bytes.ts';
import { CHUNK_PART_BYTES } from '../../../../ledger/encoding-repair.ts';
import type { ChunkAnswer } from '../../../../ledger/encoding-repair.ts';
import { CHUNK_LEASE_MS } from '../../../../server/limits.ts';
import { awhile, chunkOf, hashOf, until, World } from './keepers.ts';

let world: World;
let made: { keeper: { stop(): void } }[];

beforeEach(() => {
  world = new World();
  made = [];
});

afterEach(() => {
  for (const { keeper } of made) keeper.stop();
});

const node: World['keeper'] = (name, options) => {
  const one = world.keeper(name, options);
  made.push(one);
  return one;
};

/** Hashes of what a node has stored. */
const storedAt = ({ shelf }: ReturnType<World['keeper']>): string[] =>
  Array.from(shelf.bytes.values(), (bytes) => hex(hashOf(bytes)));

/** Asks as another node does. */
const hold = (name: string, from: string, ...hashes: Uint8Array[]): Promise<ChunkAnswer> =>
  world.nodes.get(name)!({ kind: 'hold', hashes }, from);

test('holds what it is asked to, in parts if it is long, and as long as it is asked', async () => {
  const [a, b] = [node('aa'), node('bb')];
  const chunks = [chunkOf(10, 1), chunkOf(2 * CHUNK_PART_BYTES + 5, 2)];
  const hashes = await Promise.all(chunks.map((bytes) => a.keeper.put(bytes)));
  expect(hashes).toEqual(chunks.map(hashOf));
  expect(b.keeper.has(hashes)).toBe(false);
  expect(await hold('bb', 'aa', ...hashes)).toEqual({ kind: 'held' });
  expect(b.keeper.has(hashes)).toBe(true);
  expect(storedAt(b)).toEqual(hashes.map(hex));
  expect(world.asked.filter((line) => line === 'bb chunk aa')).toHaveLength(1 + 3);

  world.nowMs += CHUNK_LEASE_MS;
  await awhile();
  expect(await hold('bb', 'aa', hashes[0]!)).toEqual({ kind: 'held' });
  world.nowMs += 1;
  await until(() => !b.keeper.has([hashes[1]!]));
  await awhile();
  expect(storedAt(b)).toEqual([hex(hashes[0]!)]);
  // A session's stay without being asked for.
  expect(a.keeper.has(hashes)).toBe(true);
});

test('what a block may name stays, whatever the time; what an executed one names is no longer its own', async () => {
  const [a, b] = [node('aa'), node('bb')];
  const hash = await a.keeper.put(chunkOf(10, 1));
  await hold('bb', 'aa', hash);
  b.used.push(hash);
  world.nowMs += 2 * CHUNK_LEASE_MS;
  await awhile();
  expect(b.keeper.has([hash])).toBe(true);
  b.shelf.named.add(hex(hash));
  b.keeper.executed([hash]);
  b.used.pop();
  await awhile();
  expect(b.keeper.has([hash])).toBe(true);
  expect(b.shelf.holders.get(hex(hash))).toBe(1);
});

test('chunks of sessions go when all that put them have released them', async () => {
  const { keeper, shelf } = node('aa');
  const hash = await keeper.put(chunkOf(10, 1));
  await keeper.put(chunkOf(10, 1));
  keeper.release(hash);
  await awhile();
  expect(keeper.has([hash])).toBe(true);
  keeper.release(hash);
  world.nowMs += 1;
  await until(() => shelf.bytes.size === 0);
  expect(keeper.has([hash])).toBe(false);
});

test('what a process before has left stays for a while', async () => {
  const hash = hashOf(chunkOf(10, 1));
  const { keeper, shelf, state } = node('aa', { adopted: [{ hash, bytes: 10 }] });
  state.starting = true;
  shelf.holders.set(hex(hash), 1);
  shelf.bytes.set(hex(hash), chunkOf(10, 1));
  world.nowMs += CHUNK_LEASE_MS + 1;
  await awhile();
  // What this node has voted for is not known yet.
  expect(keeper.has([hash])).toBe(true);
  state.starting = false;
  await until(() => shelf.bytes.size === 0);
  expect(keeper.has([hash])).toBe(false);
});

test('one node makes another hold so much and no more, however small the chunks are', async () => {
  const [a, b] = [node('aa'), node('bb', { bytesOfNodeMax: 10_000 })];
  node('cc');
  const hashes = await Promise.all([1, 2, 3].map((i) => a.keeper.put(chunkOf(4_000, i))));
  expect(await hold('bb', 'aa', hashes[0]!)).toEqual({ kind: 'held' });
  expect(await hold('bb', 'aa', hashes[1]!, hashes[2]!)).toEqual({ kind: 'nothing' });
  expect(b.shelf.bytes.size).toBeLessThanOrEqual(2);
  const tiny = await Promise.all(
    Array.from({ length: 20 }, (_, i) => a.keeper.put(new Uint8Array([1, i]))),
  );
  expect(await hold('bb', 'aa', ...tiny)).toEqual({ kind: 'nothing' });
  // It is not at the cost of another.
  world.nodes.set('cc', world.nodes.get('aa')!);
  expect(await hold('bb', 'cc', hashes[2]!)).toEqual({ kind: 'held' });
  // Confirmed blocks get what they name.
  expect(await b.keeper.fetch(tiny)).toBe(true);
  await expect(b.keeper.put(chunkOf(8_000, 7))).resolves.toBeDefined();
  await expect(b.keeper.put(chunkOf(8_000, 8))).rejects.toMatchObject({ sqlstate: '54000' });
});

test('who asks last for a chunk is charged for it', async () => {
  const [a, b] = [node('aa'), node('bb', { bytesOfNodeMax: 10_000 })];
  const [first, second] = await Promise.all([1, 2].map((i) => a.keeper.put(chunkOf(8_000, i))));
  expect(await hold('bb', 'aa', first!)).toEqual({ kind: 'held' });
  expect(await hold('bb', 'aa', second!)).toEqual({ kind: 'nothing' });
  // Somebody else keeps the first one from going.
  expect(await hold('bb', 'cc', first!)).toEqual({ kind: 'held' });
  expect(await hold('bb', 'aa', second!)).toEqual({ kind: 'held' });
  expect(await hold('bb', 'cc', second!)).toEqual({ kind: 'nothing' });
  expect(b.shelf.bytes.size).toBe(2);
});

test('takes nothing but the chunk, and asks liars last', async () => {
  const bytes = chunkOf(CHUNK_PART_BYTES + 10, 1);
  const lies: ChunkAnswer[] = [
    { kind: 'chunk', size: 10, part: chunkOf(10, 2) },
    { kind: 'chunk', size: 5, part: chunkOf(10, 2) },
    { kind: 'held' },
    { kind: 'nothing' },
  ];
  lies.forEach((lie, i) => world.nodes.set(`a${i}`, async () => lie));
  const honest = node('bb');
  const hash = await honest.keeper.put(bytes);
  const asking = node('cc');
  const { keeper } = asking;
  expect(await keeper.fetch([hash])).toBe(true);
  expect(storedAt(asking)).toEqual([hex(hash)]);
  const next = await honest.keeper.put(chunkOf(10, 3));
  world.asked.length = 0;
  expect(await keeper.fetch([next])).toBe(true);
  expect(world.asked).not.toContain('cc chunk a0');
  expect(world.asked).not.toContain('cc chunk a1');
});

test('what a silent node was asked for another node still gives', async () => {
  const honest = node('bb');
  const hash = await honest.keeper.put(chunkOf(10, 1));
  const { keeper } = node('cc');
  world.nodes.set('aa', () => new Promise(() => undefined));
  void hold('cc', 'aa', hash);
  expect(await hold('cc', 'bb', hash)).toEqual({ kind: 'held' });
  expect(keeper.has([hash])).toBe(true);
});

test('what is wanted comes from who has named it or from others; what nobody has is not said to be here', async () => {
  const [a, b] = [node('aa'), node('bb')];
  const hashes = [await a.keeper.put(chunkOf(10, 1)), await a.keeper.put(chunkOf(10, 2))];
  b.keeper.want([hashOf(chunkOf(10, 9)), ...hashes], fromHex('aa'));
  await awhile();
  expect(b.state.arrived).toBe(0);
  // The newest wish counts.
  b.keeper.want(hashes, fromHex('dd'));
  await until(() => b.keeper.has(hashes));
  b.keeper.want(hashes, fromHex('aa'));
  await until(() => b.state.arrived > 0);
});

test('a confirmed block waits until somebody has its chunks, or the node stops', async () => {
  const b = node('bb');
  const bytes = chunkOf(10, 1);
  const fetched = b.keeper.fetch([hashOf(bytes)]);
  await awhile();
  const a = node('aa');
  await a.keeper.put(bytes);
  expect(await fetched).toBe(true);
  const never = b.keeper.fetch([hashOf(chunkOf(10, 2))]);
  await awhile();
  b.keeper.stop();
  expect(await never).toBe(false);
});
