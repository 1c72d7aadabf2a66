// Founding a cluster: what organisations give each other is taken only if it is sound, and is theirs.

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { markNodeKeyUsed } from '../../../../identity/node-key.ts';
import { deriveVerifier } from '../../../../identity/password.ts';
import { applyChanges, EMPTY_CATALOG, ID } from '../../../../ledger/catalog.ts';
import type { Genesis } from '../../../../ledger/block.ts';
import type { Role } from '../../../../ledger/catalog.ts';
import { chainIdOf } from '../../../../ledger/hash.ts';
import { systemClock } from '../../../../server/clock.ts';
import { readConfig } from '../../../../server/config.ts';
import type { Config } from '../../../../server/config.ts';
import {
  foundCluster,
  joinCluster,
  prepareNode,
  returnToCluster,
} from '../../../../server/founding/found.ts';
import { formatGenesis } from '../../../../server/founding/genesis-file.ts';
import type { GenesisBlock } from '../../../../server/founding/genesis-file.ts';
import { formatPart, parsePart } from '../../../../server/founding/part.ts';
import type { Part } from '../../../../server/founding/part.ts';
import { initialise, openSecrets } from '../../../../server/initialise.ts';
import { addressesOfMember, peerOptionsOf } from '../../../../server/peer-options.ts';
import { ChainWriter } from '../../../../storage/chain-writer.ts';
import { makeGenesisBlock } from '../../../../storage/create-ledger.ts';
import { readBlockZero } from '../../../../storage/epochs.ts';
import { nativeCrypto as crypto } from '../../../../storage/native-crypto.ts';
import { VoteLog } from '../../../../storage/vote-log.ts';
import { verifyLedger } from '../../../../storage/verify.ts';

const SEED = new Uint8Array(32).fill(3);
const NAMES = ['ada', 'bob', 'cyd', 'dee'];

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trustsql-founding-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function configOf(name: string): Config {
  const flags = { data: join(folder, name), keyFile: join(folder, `${name}.key`) };
  return readConfig({ flags, environment: {}, file: null });
}

function prepare(name: string, address = `${name}.example:5533`): string {
  return prepareNode(configOf(name), crypto, systemClock, name, address).partFile;
}

function found(parts: readonly string[], by = NAMES[0]!): GenesisBlock {
  const out = join(folder, 'genesis.json');
  const options = { consensus: 'adaptive', database: 'shop', partFiles: parts, out } as const;
  return foundCluster(configOf(by), crypto, systemClock, options);
}

function join_(name: string, chainId: Uint8Array | null = null): Uint8Array {
  const options = {
    file: join(folder, 'genesis.json'),
    chainId,
    newcomer: false,
    show: () => undefined,
  };
  return joinCluster(configOf(name), crypto, options).chainId;
}

function edit(file: string, change: (fields: Record<string, unknown>) => void): void {
  const fields = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  change(fields);
  writeFileSync(file, JSON.stringify(fields));
}

function examplePart(changes: Partial<Part> = {}): Part {
  return {
    name: 'ada',
    nodeKey: crypto.publicKeyOf(SEED),
    address: 'ada.example:5533',
    role: 'admin_ada',
    roleKey: crypto.publicKeyOf(new Uint8Array(32).fill(4)),
    verifierCommitment: new Uint8Array(32).fill(5),
    ...changes,
  };
}

describe('a part', () => {
  test('is read as it was made, and holds nothing secret', () => {
    const part = examplePart();
    expect(parsePart(crypto, formatPart(crypto, SEED, part), 'p')).toEqual(part);
    const file = prepare('ada');
    const secrets = JSON.stringify(
      Object.values(parsePart(crypto, readFileSync(file, 'utf8'), file)),
    );
    const password = new URL(readFileSync(join(folder, 'ada', 'admin.url'), 'utf8')).password;
    expect(secrets).not.toContain(password);
    expect(readFileSync(file, 'utf8')).not.toContain(
      readFileSync(configOf('ada').keyFile, 'utf8').trim(),
    );
  });

  test.each([
    ['address', 'eve.example:5533', 'not signed by the node'],
    ['roleKey', 'ab'.repeat(32), 'not signed by the node'],
    ['verifierCommitment', '00'.repeat(32), 'not signed by the node'],
    ['nodeKey', '01'.repeat(32), 'not signed by the node'],
    ['name', 'eve', '"admin_ada" is not the administrator of "eve"'],
    ['name', 'Robert"); DROP', 'cannot be the name'],
    ['address', 'nowhere', 'is not <host>:<port>'],
    ['signature', '00'.repeat(64), 'not signed by the node'],
    ['roleKey', '01'.padEnd(64, '0'), 'not a key that can sign'],
    ['signature', undefined, 'signature is missing'],
    ['roleKey', 'abc', 'roleKey is not 64 hexadecimal digits'],
    ['version', 2, 'p: version 2 is not 1'],
    ['format', 'trustsql genesis', 'not a file of the format "trustsql node"'],
  ])('with another %s is refused', (name, value, message) => {
    const text = formatPart(crypto, SEED, examplePart());
    const changed = { ...(JSON.parse(text) as object), [name]: value };
    expect(() => parsePart(crypto, JSON.stringify(changed), 'p')).toThrow(message);
  });

  test('signed by another than the node that it names is refused', () => {
    const forged = formatPart(crypto, new Uint8Array(32).fill(8), examplePart());
    expect(() => parsePart(crypto, forged, 'p')).toThrow('not signed by the node that it names');
    expect(() => parsePart(crypto, 'no JSON', 'p')).toThrow('not a file of the format');
  });

  test('keeps the keys that it offers from being made anew', () => {
    prepare('ada');
    const key = readFileSync(join(folder, 'ada', 'keys', 'node.key'));
    const promised = 'its keys are promised to a cluster (ada.node.json)';
    expect(() => prepare('ada')).toThrow(promised);
    expect(() => initialise(configOf('ada'), crypto, systemClock)).toThrow(promised);
    expect(readFileSync(join(folder, 'ada', 'keys', 'node.key'))).toEqual(key);
  });

  test('is not made for a name or address that cannot be', () => {
    expect(() => prepare('Ada')).toThrow('--name: "Ada" cannot be');
    expect(() => prepare('ada', 'ada.example')).toThrow('--address: "ada.example"');
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a cluster', () => {
  test('is founded by the first and joined by the others, each with its own administrator', async () => {
    const { chainId, genesis } = found(NAMES.map((name) => prepare(name)));
    for (const name of NAMES.slice(1)) expect(join_(name, chainId)).toEqual(chainId);
    expect(genesis.nodes.map(({ address }) => address)).toEqual(
      NAMES.map((name) => `${name}.example:5533`),
    );
    const catalog = applyChanges(EMPTY_CATALOG, genesis.catalog);
    expect([...catalog.roles.keys()]).toEqual([ID.adminRole, 100, 101, 102]);
    for (const [index, role] of [...catalog.roles.values()].entries()) {
      const name = NAMES[index]!;
      const config = configOf(name);
      expect(readBlockZero(config.data).genesis).toEqual(genesis);
      const url = new URL(readFileSync(join(config.data, 'admin.url'), 'utf8').trim());
      expect([url.username, url.pathname]).toEqual([role.name, '/shop']);
      const { keyring, nodeKey } = openSecrets(config, crypto, systemClock);
      expect(nodeKey.publicKey).toEqual(genesis.nodes[index]!.publicKey);
      const verifier = keyring.verifierOf(role.verifierCommitment!)!;
      expect(deriveVerifier(url.password, verifier.salt, verifier.iterations)).toEqual(verifier);
      expect(keyring.keyOf(role.publicKey!)).toBeDefined();
      const others = [...catalog.roles.values()].filter((other) => other !== role);
      expect(others.map(({ publicKey }) => keyring.keyOf(publicKey!))).toEqual(
        others.map(() => undefined),
      );
      keyring.close();
    }
    // What a first start makes of block 0.
    ChainWriter.open(configOf('bob').data, { crypto }).close();
    const verified = await verifyLedger(configOf('bob').data, { chainId });
    expect(verified).toMatchObject({ ok: true });
  });

  test('takes back a member with its keys alone, and not as one that has never voted', () => {
    const { chainId } = found(NAMES.map((name) => prepare(name)));
    join_('bob', chainId);
    const config = configOf('bob');
    markNodeKeyUsed(config.data);
    const kept = join(folder, 'kept');
    mkdirSync(kept);
    for (const name of ['keys', 'identity.sqlite', 'bob.node.json']) {
      cpSync(join(config.data, name), join(kept, name), { recursive: true });
    }
    rmSync(config.data, { recursive: true });
    cpSync(kept, config.data, { recursive: true });
    expect(() => join_('bob', chainId)).toThrow('--returning');
    // Nor is a ledger of its own made in the place of its keys.
    rmSync(join(config.data, 'bob.node.json'));
    expect(() => initialise(config, crypto, systemClock)).toThrow('--returning');

    const file = join(folder, 'genesis.json');
    const show = () => undefined;
    const other = { file, chainId: new Uint8Array(32), show };
    expect(() => returnToCluster(config, crypto, other)).toThrow('is not the one asked for');
    const key = join(config.data, 'keys', 'node.key');
    const content = readFileSync(key);
    rmSync(key);
    expect(() => returnToCluster(config, crypto, { file, chainId, show })).toThrow('is missing');
    writeFileSync(key, content);
    expect(returnToCluster(config, crypto, { file, chainId, show }).chainId).toEqual(chainId);
    const votes = new VoteLog(config.data);
    expect([votes.begun, votes.sound, votes.records]).toEqual([true, true, []]);
    votes.close();
    const again = () => returnToCluster(config, crypto, { file, chainId, show });
    expect(again).toThrow('there is a ledger here already');
  });

  test('is not founded twice, nor over a genesis file that is there', () => {
    const parts = ['ada', 'bob'].map((name) => prepare(name));
    const genesis = join(folder, 'genesis.json');
    writeFileSync(genesis, 'the block of another cluster');
    expect(() => found(parts)).toThrow('EEXIST');
    expect(readFileSync(genesis, 'utf8')).toBe('the block of another cluster');
    rmSync(genesis);
    found(parts);
    expect(() => found(parts)).toThrow('there is a ledger here already');
  });

  test.each<[string, (parts: string[]) => string[], string]>([
    ['one part', (parts) => parts.slice(0, 1), 'a cluster has two parts or more'],
    ['a part given twice', ([ada, bob]) => [ada!, bob!, bob!], 'have the same name'],
    ['the founder not first', ([ada, bob]) => [bob!, ada!], 'the first part must be the one of'],
    ['no part of the founder', ([, bob, cyd]) => [bob!, cyd!], 'the first part must be the one of'],
  ])('is not made of %s', (_name, choose, message) => {
    const parts = ['ada', 'bob', 'cyd'].map((name) => prepare(name));
    expect(() => found(choose(parts))).toThrow(message);
    expect(existsSync(join(folder, 'genesis.json'))).toBe(false);
    expect(existsSync(join(folder, 'ada', 'trustsql.json'))).toBe(false);
  });

  test.each<[string, Partial<Part>]>([
    ['node key', {}],
    ['administrator key', { nodeKey: crypto.publicKeyOf(new Uint8Array(32).fill(9)) }],
    [
      'address',
      {
        address: 'one.example:5533',
        nodeKey: crypto.publicKeyOf(new Uint8Array(32).fill(9)),
        roleKey: crypto.publicKeyOf(new Uint8Array(32).fill(10)),
      },
    ],
  ])('is not made of two parts with the same %s', (what, changes) => {
    const ada = prepare('ada');
    const [one, two] = ['one.node.json', 'two.node.json'].map((name) => join(folder, name));
    writeFileSync(
      one!,
      formatPart(
        crypto,
        SEED,
        examplePart({ name: 'one', role: 'admin_one', address: 'one.example:5533' }),
      ),
    );
    const seed = changes.nodeKey === undefined ? SEED : new Uint8Array(32).fill(9);
    const part = examplePart({ name: 'two', role: 'admin_two', ...changes });
    writeFileSync(two!, formatPart(crypto, seed, part));
    expect(() => found([ada, one!, two!])).toThrow(`"one" and "two", have the same ${what}`);
  });

  test('is not made of a forged part', () => {
    const [ada, bob] = [prepare('ada'), prepare('bob')];
    edit(bob, (fields) => (fields['address'] = 'eve.example:5533'));
    expect(() => found([ada, bob])).toThrow('not signed by the node that it names');
  });
});

describe('a genesis file', () => {
  const file = (): string => join(folder, 'genesis.json');

  test.each<[string, (fields: Record<string, unknown>) => void, string]>([
    ['another version', (fields) => (fields['version'] = 1), 'version 1 is not 2'],
    ['another format', (fields) => (fields['format'] = 'x'), 'not a file of the format'],
    ['another chain', (fields) => (fields['chainId'] = '00'.repeat(32)), 'chainId is not'],
    ['no body', (fields) => delete fields['body'], 'body is not hexadecimal'],
    [
      'half a body',
      (fields) => (fields['body'] = (fields['body'] as string).slice(0, 400)),
      'file',
    ],
    [
      'a changed body',
      // The last byte of the nonce, after the name of the database and the time.
      (fields) => (fields['body'] = (fields['body'] as string).replace(/^(.{60})../, '$1ff')),
      'is not the one of the genesis record',
    ],
    [
      'another signature',
      (fields) =>
        (fields['certificate'] = (fields['certificate'] as string)
          .replace(/.$/, '0')
          .replace(/......$/, 'abcdef')),
      'signature of a node is not valid',
    ],
  ])('with %s is refused', (_name, change, message) => {
    found(['ada', 'bob'].map((name) => prepare(name)));
    edit(file(), change);
    expect(() => join_('bob')).toThrow(message === 'file' ? file() : message);
    expect(existsSync(join(folder, 'bob', 'trustsql.json'))).toBe(false);
  });

  test('without this node, and another chain than the one asked for, are refused', () => {
    found(['ada', 'bob'].map((name) => prepare(name)));
    prepare('eve');
    expect(() => join_('eve')).toThrow('the key of this node');
    expect(() => join_('bob', new Uint8Array(32))).toThrow('is not the one asked for');
    join_('bob');
    expect(() => join_('bob')).toThrow('there is a ledger here already');
    expect(() => join_('nobody')).toThrow('nobody');
  });

  /** What a founder with a program of its own might send: `change` of the record, signed as it should be. */
  function sent(change: (genesis: Genesis) => Genesis): void {
    const parts = ['ada', 'bob'].map((name) => prepare(name));
    const honest = found(parts);
    const { nodeKey, keyring } = openSecrets(configOf('ada'), crypto, systemClock);
    keyring.close();
    const genesis = change(honest.genesis);
    const block = makeGenesisBlock(crypto, genesis, nodeKey.seed);
    const chainId = chainIdOf(crypto, block.body);
    writeFileSync(file(), formatGenesis({ block, genesis, chainId }));
  }

  const roleOf = ({ catalog }: Genesis, index: number): Role => {
    const change = catalog[index]!;
    if ('put' in change && change.put === 'role') return change.object;
    throw new Error('no role');
  };

  test.each<[string, (genesis: Genesis) => Genesis, string]>([
    [
      'another address for this node',
      (genesis) => ({
        ...genesis,
        nodes: [genesis.nodes[0]!, { ...genesis.nodes[1]!, address: 'eve.example:1' }],
      }),
      'this node is at "eve.example:1" there',
    ],
    [
      'another key for its administrator',
      (genesis) => {
        const role = { ...roleOf(genesis, 1), publicKey: roleOf(genesis, 0).publicKey };
        const [first, , ...rest] = genesis.catalog;
        return { ...genesis, catalog: [first!, { put: 'role', object: role }, ...rest] };
      },
      'its administrator of this node, "admin_bob", is not the one of "bob"',
    ],
    [
      'one administrator more',
      (genesis) => {
        const role = { ...roleOf(genesis, 1), id: ID.firstFree + 1, name: 'eve' };
        const [first, second, ...rest] = genesis.catalog;
        return { ...genesis, catalog: [first!, second!, { put: 'role', object: role }, ...rest] };
      },
      '2 nodes have 3 administrators',
    ],
    [
      'rights that are not asked for',
      (genesis) => {
        const role = { ...roleOf(genesis, 1), superuser: false };
        const [first, , ...rest] = genesis.catalog;
        return { ...genesis, catalog: [first!, { put: 'role', object: role }, ...rest] };
      },
      'something other than administrators and schema public',
    ],
    [
      'its nodes in another order, so that another signed it',
      (genesis) => ({ ...genesis, nodes: genesis.nodes.toReversed() }),
      'not signed by its first node',
    ],
  ])('with %s is refused although it is signed', (_name, change, message) => {
    sent(change);
    expect(() => join_('bob')).toThrow(message);
    expect(existsSync(join(folder, 'bob', 'trustsql.json'))).toBe(false);
  });
});

test('the options of peers', () => {
  const config = configOf('ada');
  const set = { ...config, peers: `${'ab'.repeat(32)}@b.example:1` };
  const options = peerOptionsOf(set);
  expect(options).toMatchObject({ host: '127.0.0.1', port: 5533, proxy: null });
  const member = { publicKey: new Uint8Array(32).fill(0xab), address: 'a.example:2' };
  expect(addressesOfMember(options, member)).toEqual(['b.example:1', 'a.example:2']);
  for (const peers of [
    'x',
    `${'ab'.repeat(32)}@b.example`,
    `${'ab'.repeat(31)}@b.example:1`,
    ',',
  ]) {
    expect(() => peerOptionsOf({ ...config, peers })).toThrow('--peers: ');
  }
  expect(() => peerOptionsOf({ ...config, peerProxy: 'p:1' })).toThrow('--peer-proxy: ');
});
