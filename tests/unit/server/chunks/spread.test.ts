// A session goes on when enough members have its chunk, and hears when they have not.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ChunkSpread } from '../../../../server/chunks/spread.ts';
import { awhile, chunkOf, hashOf, until, World } from './keepers.ts';

let world: World;
let gateway: ReturnType<World['keeper']>;
let others: Record<string, ReturnType<World['keeper']>>;
let spread: ChunkSpread;

const MEMBERS = ['bb', 'cc', 'dd'];
const bytes = chunkOf(10, 1);

function spreadTo(count: number, timeoutMs = 1_000): ChunkSpread {
  return new ChunkSpread({
    keeper: gateway.keeper,
    peers: world.peersOf('aa'),
    needed: () => ({ members: MEMBERS, count }),
    timeoutMs,
  });
}

beforeEach(() => {
  world = new World();
  gateway = world.keeper('aa');
  others = Object.fromEntries(MEMBERS.map((name) => [name, world.keeper(name)]));
  spread = spreadTo(2);
});

afterEach(() => {
  spread.stop();
  for (const { keeper } of [gateway, ...Object.values(others)]) keeper.stop();
});

test('a chunk is given when so many have it, and comes to the others as well', async () => {
  const away = world.nodes.get('dd')!;
  world.nodes.delete('dd');
  const hash = await spread.put(bytes);
  expect(hash).toEqual(hashOf(bytes));
  for (const name of ['aa', 'bb', 'cc']) {
    expect((others[name] ?? gateway).keeper.has([hash])).toBe(true);
  }
  world.nodes.set('dd', away);
  await until(() => others['dd']!.keeper.has([hash]));
});

test('with too few there is an error that says so, and nothing stays', async () => {
  spread.stop();
  spread = spreadTo(2, 50);
  world.nodes.delete('cc');
  world.nodes.delete('dd');
  await expect(spread.put(bytes)).rejects.toMatchObject({ sqlstate: '53000' });
  world.nowMs += 1;
  await until(() => gateway.shelf.bytes.size === 0);
});

test('a member that says it has none does not count', async () => {
  spread.stop();
  spread = spreadTo(2, 50);
  for (const name of ['cc', 'dd']) world.nodes.set(name, async () => ({ kind: 'nothing' }));
  await expect(spread.put(bytes)).rejects.toMatchObject({ sqlstate: '53000' });
});

test('what no session holds is offered no more', async () => {
  world.nodes.delete('dd');
  const hash = await spread.put(bytes);
  await spread.put(bytes);
  spread.drop([hash]);
  expect(gateway.keeper.has([hash])).toBe(true);
  spread.drop([hash]);
  world.nowMs += 1;
  await until(() => !gateway.keeper.has([hash]));
  world.asked.length = 0;
  world.nodes.set('dd', async () => ({ kind: 'held' }));
  await new Promise((resolve) => setTimeout(resolve, 400));
  await awhile();
  expect(world.asked).toEqual([]);
});

test('a node that stops tells whoever waits', async () => {
  for (const name of MEMBERS) world.nodes.delete(name);
  const put = spread.put(bytes);
  await awhile();
  spread.stop();
  await expect(put).rejects.toMatchObject({ sqlstate: '53000' });
});
