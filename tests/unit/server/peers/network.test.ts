// Several networks in one process, over real TLS sockets.

import { afterEach, describe, expect, test } from '@jest/globals';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { signAnnouncement } from '../../../../server/peers/announcement.ts';
import { nativeCrypto as crypto } from '../../../../storage/native-crypto.ts';
import {
  CHAIN,
  isUp,
  keyOf,
  member,
  smallAndLarge,
  startNode,
  startPair,
  stopNodes,
  text,
  until,
} from './network-fixture.ts';
import type { TestNode } from './network-fixture.ts';

afterEach(stopNodes);

describe('messages', () => {
  test('of every class and length arrive whole, in their order, in both directions', async () => {
    const { a, b } = await startPair();
    const lengths = [0, 1, 65_000, 65_524, 65_525, 200_000, 1_000_000];
    for (const traffic of ['vote', 'block', 'sync'] as const) {
      for (const length of lengths) {
        const bytes = new Uint8Array(length).fill(length % 251);
        await until(() => a.network.send(b.key, traffic, bytes));
        await until(() => b.network.send(a.key, traffic, bytes));
      }
    }
    for (const [node, peer] of [[a, b] as const, [b, a] as const]) {
      await until(() => node.received.length === 3 * lengths.length);
      for (const traffic of ['vote', 'block', 'sync']) {
        const of = node.received.filter((one) => one.traffic === traffic);
        expect(of.map(({ bytes }) => bytes.length)).toEqual(lengths);
        expect(of.every(({ key }) => key === peer.key)).toBe(true);
        expect(of.every(({ bytes }) => bytes.every((byte) => byte === bytes.length % 251))).toBe(
          true,
        );
      }
    }
    const [state] = a.network.peers();
    expect(state).toMatchObject({ key: b.key, address: b.address, role: 'initiator', dropped: 0 });
    expect(state!.bytesOut).toBeGreaterThan(3 * 1_000_000);
    expect(state!.bytesIn).toBeGreaterThan(3 * 1_000_000);
  });

  test('to all reach all; to a peer that is down, nobody', async () => {
    const keys = [1, 2, 3, 4].map(keyOf);
    const nodes: TestNode[] = [];
    for (const own of keys) {
      const members = keys.map(({ key }) =>
        member(key, ...nodes.filter((node) => node.key === key).map(({ address }) => address)),
      );
      nodes.push(await startNode(own, { members }));
    }
    await until(() =>
      nodes.every((node) => node.network.peers().every((peer) => peer.connectedSinceMs !== null)),
    );
    for (const node of nodes) expect(node.network.broadcast('vote', text(node.key))).toBe(3);
    await until(() => nodes.every(({ received }) => received.length === 3));
    expect(nodes[0]!.network.send('ab', 'vote', text('x'))).toBe(false);
    await nodes[3]!.network.stop();
    await until(() => !isUp(nodes[0]!, nodes[3]!.key));
    const others = [nodes[1]!.key, nodes[2]!.key];
    expect(nodes[0]!.network.connected().toSorted()).toEqual(others.toSorted());
    expect(nodes[0]!.network.broadcast('vote', text('again'))).toBe(2);
  });
});

describe('one connection for each pair', () => {
  test('when both dial at once, many times over', async () => {
    const [small, large] = smallAndLarge();
    let collisions = 0;
    for (let round = 0; round < 8; round++) {
      const a = await startNode(small, { random: () => 0 });
      const b = await startNode(large, { random: () => 0 });
      a.network.setMembers([member(b.key, b.address)]);
      b.network.setMembers([member(a.key, a.address)]);
      await until(() => isUp(a, b.key) && isUp(b, a.key));
      // Both ends hold the same connection: what one sends the other receives.
      await until(() => {
        a.network.send(b.key, 'vote', text('a'));
        b.network.send(a.key, 'vote', text('b'));
        return a.received.length > 0 && b.received.length > 0;
      });
      // While one takes the place of the other the two ends may differ for a moment.
      await until(() => {
        const roles = [a, b].map((node) => node.network.peers()[0]!.role);
        return roles.includes('initiator') && roles.includes('acceptor');
      });
      // A sound pair shows no error for the connection that went.
      const errors = [a, b].map((node) => node.network.peers()[0]!.lastError ?? '');
      expect(errors.filter((error) => error.includes('there is a connection'))).toEqual([]);
      const logged = [...a.logged, ...b.logged].map(({ reason }) => String(reason));
      if (logged.some((reason) => /connection/.test(reason))) collisions++;
      await stopNodes();
    }
    expect(collisions).toBeGreaterThan(0);
  });

  test('a copy of a peer that runs beside it is told once', async () => {
    const [small, large] = smallAndLarge();
    const a = await startNode(small, { members: [member(large.key)] });
    const changes = { members: [member(small.key, a.address)], random: () => 0 };
    await startNode(large, changes);
    await until(() => isUp(a, large.key));
    await startNode(large, changes);
    const isTwin = (event: string): boolean => event === `${large.key} twin`;
    await until(() => a.events.some(isTwin));
    const ups = (): number => a.events.filter((event) => event === `${large.key} up`).length;
    const then = ups();
    await until(() => ups() > then + 1);
    expect(a.events.filter(isTwin)).toHaveLength(1);
  });

  test('a peer that has begun anew takes the place of its earlier life', async () => {
    const [small, large] = smallAndLarge();
    const a = await startNode(small, { members: [member(large.key)] });
    const first = await startNode(large, { members: [member(small.key, a.address)] });
    await until(() => isUp(a, large.key));
    const second = await startNode(large, { members: [member(small.key, a.address)] });
    await until(() => a.events.length === 3);
    expect(a.events).toEqual([`${large.key} up`, `${large.key} down`, `${large.key} up`]);
    first.network.setMembers([]);
    await until(() => a.network.send(large.key, 'vote', text('x')) && second.received.length > 0);
  });
});

describe('addresses', () => {
  test('a configured one finds its node, and the own one is found out', async () => {
    const [small, large] = smallAndLarge();
    const b = await startNode(large, { members: [member(small.key)] });
    const a = await startNode(small, { members: [member(large.key)], addresses: [b.address] });
    await until(() => isUp(a, large.key));
    const own = createServer();
    await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve));
    const { port } = own.address() as AddressInfo;
    await new Promise((resolve) => own.close(resolve));
    const c = await startNode(keyOf(3), { port, addresses: [`127.0.0.1:${port}`] });
    await until(() => c.logged.some(({ reason }) => reason === 'the key is the own one'));
    expect(c.logged.some(({ event }) => event === 'another node has the key of this one')).toBe(
      false,
    );
  });

  test('announced ones are passed on, stored, and known after a restart', async () => {
    const [ka, kb, kc] = [keyOf(1), keyOf(2), keyOf(3)];
    const everybody = [ka, kb, kc].map(({ key }) => member(key));
    // All that b and c know is a.
    const a = await startNode(ka, { members: everybody });
    const toA = { members: everybody, addresses: [a.address] };
    const ports = await startNode(keyOf(9));
    const { port } = ports.network;
    await ports.network.stop();
    const b = await startNode(kb, { ...toA, port, announce: `127.0.0.1:${port}` });
    const c = await startNode(kc, toA);
    await until(() => isUp(c, kb.key) && isUp(b, kc.key));
    expect(c.stored.has(kb.key)).toBe(true);
    // Newer, older and forged.
    const announcement = (seed: Uint8Array, sequence: number, address: string): Uint8Array =>
      signAnnouncement(crypto, seed, { chainId: CHAIN, node: kb.publicKey, sequence, address });
    const stored = [...c.stored.values()];
    await c.network.stop();
    const forged = announcement(kc.seed, Date.now() * 2, '127.0.0.1:1');
    const stale = announcement(kb.seed, 5, '127.0.0.1:1');
    const again = await startNode(kc, {
      members: everybody,
      announcements: [forged, ...stored, stale],
    });
    await until(() => isUp(again, kb.key));
    expect(again.logged.some(({ event }) => event === 'stored address of a peer ignored')).toBe(
      true,
    );
  });

  test('a node whose earlier life had a clock ahead still has the last word', async () => {
    const [ka, kb] = smallAndLarge();
    const ahead = Date.now() * 2;
    const old = signAnnouncement(crypto, kb.seed, {
      chainId: CHAIN,
      node: kb.publicKey,
      sequence: ahead,
      address: 'gone.example:1',
    });
    const a = await startNode(ka, { members: [member(kb.key)], announcements: [old] });
    const b = await startNode(kb, {
      members: [member(ka.key, a.address)],
      announce: 'new.example:2',
    });
    await until(() => a.stored.has(kb.key));
    await b.network.stop();
    await until(() => a.network.peers()[0]?.address === 'new.example:2');
  });
});

describe('members', () => {
  test('that are removed are sent away, and may come back', async () => {
    const { a, b } = await startPair();
    b.network.setMembers([]);
    await until(() => a.events.length === 2);
    expect(b.events).toEqual([`${a.key} up`, `${a.key} down`]);
    await until(() => a.network.peers()[0]!.lastError?.includes('the key is no member') === true);
    expect(b.network.peers()).toEqual([]);
    b.network.setMembers([member(a.key)]);
    await until(() => isUp(a, b.key));
  });
});

test('a peer whose process is gone is dialled until it is back', async () => {
  const { a, b } = await startPair();
  const { port } = b.network;
  await b.network.stop();
  await until(() => a.events.length === 2);
  await until(() => a.network.peers()[0]!.lastError?.includes('ECONNREFUSED') === true);
  const [ka, kb] = smallAndLarge();
  const back = await startNode(kb, { port, members: [member(ka.key)] });
  await until(() => isUp(back, ka.key) && isUp(a, kb.key));
});
