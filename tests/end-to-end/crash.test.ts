// kill -9 under load, a few times; tests/slow/crash.ts does it two hundred times.

import { expect, test } from '@jest/globals';
import { CrashWorkload, killAfter, seeded } from './crash-workload.ts';
import { NodeProcess } from './process.ts';

const KILLS = 8;
const CLIENTS = 6;
const SEED = 20_240_229;

test('what was acknowledged survives kill -9, what was refused does not appear', async () => {
  await using node = await NodeProcess.start();
  const random = seeded(SEED);
  const workload = new CrashWorkload(async () => [await node.clearUrl()], random);
  await workload.prepare();
  for (let kill = 1; kill <= KILLS; kill += 1) {
    await workload.loadWhile(CLIENTS, killAfter(node, 30 + random() * 600));
    await node.start();
    expect(await workload.check()).toEqual([]);
  }
  const { acknowledged, refused } = workload.counts;
  expect(acknowledged).toBeGreaterThan(KILLS);
  expect(refused).toBeGreaterThan(0);
  expect(await node.stop()).toBe(0);
  const verified = await node.verify();
  expect(verified.stderr + verified.stdout).not.toContain('damage');
  expect(verified.code).toBe(0);
}, 180_000);

test('a node that is killed while it starts, starts', async () => {
  await using node = await NodeProcess.start();
  const random = seeded(SEED);
  const workload = new CrashWorkload(async () => [await node.clearUrl()], random);
  await workload.prepare();
  await workload.loadWhile(CLIENTS, killAfter(node, 400));
  await node.start();
  for (let kill = 1; kill <= 3; kill += 1) {
    await node.kill();
    const starting = node.start().catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 100 + random() * 900));
    await node.kill();
    await starting;
  }
  await node.start();
  expect(await workload.check()).toEqual([]);
}, 180_000);
