// A node as it is started, with clients that write: made, loaded, stopped, started, killed, started. Shell.

import path from 'node:path';
import pg from 'pg';
import { checkKeyring } from '../../../identity/check.ts';
import { isStorageError } from '../../../ledger/error.ts';
import type { Relation } from '../../../ledger/catalog.ts';
import { systemClock } from '../../../server/clock.ts';
import { readConfig } from '../../../server/config.ts';
import { openSecrets } from '../../../server/initialise.ts';
import { ChainWriter } from '../../../storage/chain-writer.ts';
import { isDataDirectory } from '../../../storage/data-directory.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { checkAtStart } from '../../../storage/start-check.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { seeded } from '../../end-to-end/crash-workload.ts';
import { NodeProcess, freePort } from '../../end-to-end/process.ts';
import { Marker } from './log.ts';
import { NodeLoad, faultsIn } from './node-load.ts';
import type { Found, Mark } from './node-load.ts';
import type { Recording, Scenario } from './scenario.ts';

const VERIFY_EVERY = 8;
/** The whole command, on what was recovered or on what was left. */
const START_EVERY = 40;
const START_EVERY_UNMADE = 20;
/** Transactions of a page fill the journal of 16 MiB, so that it turns. */
const PAGES = 50;
const LAST_WORDS_MS = 1_000;

function nodeOn(root: string, port: number): NodeProcess {
  return NodeProcess.on(root, path.join(root, 'data'), port, [
    '--readers',
    '1',
    '--state-shards',
    '2',
  ]);
}

async function record({ root, log, env }: Recording, seed: number): Promise<void> {
  const node = nodeOn(root, await freePort());
  node.env = env;
  const marker = new Marker(log);
  const random = seeded(seed);
  const load = new NodeLoad(marker, random);
  try {
    await node.start();
    await load.prepare(await node.clearUrl());
    await load.run(await node.clearUrl(), 4, 120);
    await load.run(await node.clearUrl(), 1, 30);
    await node.stop();
    await node.start();
    await new NodeLoad(marker, random, ['page'], 'p').run(await node.clearUrl(), 3, PAGES);
    await load.run(await node.clearUrl(), 6, 80);
    await node.kill();
    await node.start();
    await load.run(await node.clearUrl(), 4, 60);
  } catch (error) {
    // A signal is known a moment after the connections are gone.
    await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS));
    throw new Error(node.account, { cause: error });
  } finally {
    await node.kill();
    marker.close();
  }
}

async function check(
  root: string,
  before: readonly Mark[],
  all: readonly Mark[],
  number: number,
): Promise<readonly string[]> {
  const data = path.join(root, 'data');
  const ready = before.length > 0;
  if (!isDataDirectory(data)) {
    if (ready) return ['there is no ledger'];
    return number % START_EVERY_UNMADE === 0 ? started(root) : [];
  }
  const faults = recoveryFaults(root, ready ? (found) => faultsIn(found, before, all) : () => []);
  if (faults.length === 0 && number % VERIFY_EVERY === 0) {
    const { damage } = await verifyLedger(data, { scratch: root });
    if (damage !== null) faults.push(`verify: ${damage.file}: ${damage.message}`);
  }
  if (faults.length === 0 && number % START_EVERY === 0) faults.push(...(await started(root)));
  return faults;
}

/** What a start does before it takes connections, in this process; then `compare`. */
function recoveryFaults(root: string, compare: (found: Found) => string[]): string[] {
  const data = path.join(root, 'data');
  const flags = { data, keyFile: path.join(root, 'master.key') };
  const config = readConfig({ flags, environment: {}, file: null });
  try {
    const { nodeKey, keyring } = openSecrets(config, nativeCrypto, systemClock);
    try {
      ChainWriter.open(data, { crypto: nativeCrypto, node: nodeKey.publicKey }).close();
      checkAtStart(data, nativeCrypto);
      const reader = StateReader.open(data);
      try {
        const roles = reader.catalog().roles.values();
        return [...checkKeyring(keyring, roles, true), ...compare(foundIn(reader))];
      } finally {
        reader.close();
      }
    } finally {
      keyring.close();
    }
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return [error.message];
  }
}

function foundIn(reader: StateReader): Found {
  const catalog = reader.catalog();
  const relations = new Map([...catalog.relations.values()].map((each) => [each.name, each]));
  const shards = new Map<number, string>([[0, 'main']]);
  const columnsOf = (relation: Relation | undefined): ReadonlyMap<string, string> =>
    new Map(
      relation?.kind === 'table' ? relation.columns.map(({ id, name }) => [name, `c${id}`]) : [],
    );
  const rows = (table: string, ...names: string[]): unknown[][] => {
    const relation = relations.get(table);
    if (relation?.kind !== 'table') return [];
    const columns = names.map((name) => columnsOf(relation).get(name)!).join();
    const schema = shards.get(relation.shard) ?? `s${relation.shard}`;
    const text = `SELECT ${columns} FROM ${schema}.r${relation.id}`;
    return reader.database.prepare(text).raw().all() as unknown[][];
  };
  const sum = (table: string, name: string): bigint =>
    rows(table, name).reduce((total, [value]) => total + (value as bigint), 0n);
  const parts = new Map<string, number>();
  for (const [name] of rows('part', 'name') as [string][])
    parts.set(name, (parts.get(name) ?? 0) + 1);
  const sequence = relations.get('entry_number_seq');
  return {
    entries: (rows('entry', 'name', 'kind', 'number') as [string, string, bigint][]).map(
      ([name, kind, number]) => ({ name, kind, number }),
    ),
    parts,
    counted: sum('counter', 'n'),
    balances: sum('account', 'balance'),
    tables: namesOf(relations.keys(), /^made_(.*)$/),
    columns: namesOf(columnsOf(relations.get('taken')).keys(), /^(n\d+)$/),
    roles: namesOf(
      [...catalog.roles.values()].map(({ name }) => name),
      /^(n\d+)$/,
    ),
    sequence: sequence === undefined ? 0n : (reader.sequence(sequence.id)?.last ?? 0n),
  };
}

function namesOf(names: Iterable<string>, pattern: RegExp): Set<string> {
  return new Set([...names].flatMap((name) => pattern.exec(name)?.[1] ?? []));
}

/** The command itself comes up by itself, takes a connection of the administrator and a table, and what it leaves verifies. */
async function started(root: string): Promise<string[]> {
  const node = nodeOn(root, await freePort());
  try {
    await node.start();
    const client = new pg.Client({ connectionString: await node.clearUrl() });
    await client.connect();
    await client.query('CREATE TABLE after_the_loss (id int PRIMARY KEY)');
    await client.end();
    await node.stop();
    const { code, stdout } = await node.verify('--key-file', path.join(root, 'master.key'));
    return code === 0 ? [] : [`trustsql verify: ${stdout}`];
  } catch (error) {
    return [`trustsql start: ${(error as Error).message}`];
  } finally {
    await node.kill();
  }
}

export const NODE: Scenario<Mark> = {
  name: 'node',
  share: 0.6,
  cache: 'data/analyst',
  record,
  check,
};
