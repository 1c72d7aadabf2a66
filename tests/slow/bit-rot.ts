// Bit rot: one bit of one file is another one. Shell; run by .ci/run.
//
//     node tests/slow/bit-rot.ts [--flips n | --minutes 1] [--seed n] [--file identity.sqlite]
//
// A ledger with a bit of everything in it, once stopped and once killed, so that journal and logs hold what no other file
// does. A bit is flipped, what checks a directory at rest looks at it, and the bit is flipped back. Either it is found,
// and the file named, or nothing that the directory holds has changed: every block, chunk, row and key is as before.

import Database from 'better-sqlite3';
import { createHash } from 'node:crypto';
import { closeSync, cpSync, globSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { checkKeyring } from '../../identity/check.ts';
import { Keyring } from '../../identity/keyring.ts';
import { readMasterKey } from '../../identity/master-key.ts';
import { openNodeKey } from '../../identity/node-key.ts';
import { BlockStore } from '../../storage/block-store.ts';
import { shardFile } from '../../storage/data-directory.ts';
import { nativeCrypto } from '../../storage/native-crypto.ts';
import { openDatabase } from '../../storage/sqlite.ts';
import { readCatalog } from '../../storage/state-store.ts';
import { verifyLedger } from '../../storage/verify.ts';
import { connected, seeded } from '../end-to-end/crash-workload.ts';
import { NodeProcess } from '../end-to-end/process.ts';

const { values: flags } = parseArgs({
  options: {
    flips: { type: 'string' },
    minutes: { type: 'string', default: '1' },
    file: { type: 'string', default: '' },
    // One and the same in CI, where a finding must not depend on the day.
    seed: {
      type: 'string',
      default: process.env['CI'] === undefined ? String(Date.now() % 1_000_000) : '611',
    },
  },
});

const BEFORE = [
  'CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance numeric(12,2), at timestamptz DEFAULT now())',
  'CREATE INDEX account_owner ON account (owner)',
  `INSERT INTO account (id, owner, balance) SELECT n, 'owner ' || n, n * 10.5 FROM generate_series(1, 400) n`,
  'UPDATE account SET balance = balance - 30 WHERE id % 5 = 1',
  'DELETE FROM account WHERE id % 7 = 3',
  'CREATE TABLE part (id bigserial PRIMARY KEY, account int REFERENCES account, padding text)',
  // More than a block holds: it travels in chunks.
  `INSERT INTO part (padding) SELECT repeat(chr(65 + n % 26), 3000) FROM generate_series(1, 600) n`,
  `CREATE ROLE clerk LOGIN PASSWORD 'a word'`,
  'GRANT SELECT ON account TO clerk',
  'CREATE VIEW rich AS SELECT * FROM account WHERE balance > 1000',
];
const AFTER = [
  `INSERT INTO account (id, owner, balance) SELECT n, 'late ' || n, 1 FROM generate_series(1001, 1100) n`,
  'UPDATE account SET balance = 7 WHERE id > 1050',
];

/**
 * What is not of the ledger, and what a start makes anew without being asked: images of the analyst (which have a seal of
 * their own), the TLS certificate, a convenience, SQLite's shared memory.
 */
const NOT_LOOKED_AT = /^(admin\.url|lock\.sqlite.*|keys[\\/]tls\..*|analyst[\\/].*|.*-shm)$/;

interface Directory {
  readonly data: string;
  readonly masterKey: Uint8Array;
  readonly files: readonly string[];
  readonly content: string;
}

async function run(node: NodeProcess, statements: readonly string[]): Promise<void> {
  await connected(await node.clearUrl(), async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

function look(data: string, masterKey: Uint8Array): Directory {
  const files = globSync('**/*', { cwd: data })
    .filter((file) => !NOT_LOOKED_AT.test(file) && file.includes(flags.file))
    .filter((file) => statSync(path.join(data, file)).isFile())
    .filter((file) => statSync(path.join(data, file)).size > 0);
  return { data, masterKey, files: files.sort(), content: contentOf(data, masterKey) };
}

/** Of everything that the directory holds for those who read it, a hash; or why it cannot be read. */
function contentOf(data: string, masterKey: Uint8Array): string {
  try {
    const hash = createHash('sha256');
    for (const file of globSync('**/*.sqlite', { cwd: data }).sort()) {
      if (!NOT_LOOKED_AT.test(file)) addTables(hash, path.join(data, file));
    }
    // Also those that only the journal has.
    const blocks = new BlockStore(data, { readonly: true });
    try {
      for (let height = 0; height <= blocks.tip; height++) {
        const { header, body, certificate } = blocks.read(height)!;
        for (const bytes of [header, body, certificate]) hash.update(bytes);
      }
    } finally {
      blocks.close();
    }
    hash.update(openNodeKey(data, nativeCrypto, masterKey).seed);
    return hash.digest('hex');
  } catch (error) {
    return String(error);
  }
}

function addTables(hash: ReturnType<typeof createHash>, file: string): void {
  const database = new Database(file, { readonly: true });
  try {
    const schema = database
      .prepare('SELECT name, type, sql FROM sqlite_master ORDER BY name')
      .all();
    hash.update(JSON.stringify(schema));
    for (const { name, type } of schema as { name: string; type: string }[]) {
      if (type !== 'table') continue;
      const rows = database.prepare(`SELECT * FROM "${name}"`).raw(true).safeIntegers(true);
      for (const row of rows.iterate() as Iterable<unknown[]>) {
        for (const value of row) {
          hash.update(value instanceof Uint8Array ? value : `${typeof value} ${String(value)}\n`);
        }
      }
    }
  } finally {
    database.close();
  }
}

/** What `trustsql verify` and the start of a node say of the directory; null: it is sound. */
async function faultOf(data: string, masterKey: Uint8Array): Promise<string | null> {
  try {
    const { damage } = await verifyLedger(data);
    if (damage !== null) return `${damage.file ?? ''} ${damage.message}`;
    openNodeKey(data, nativeCrypto, masterKey);
    const state = openDatabase(shardFile(data, 0), { readonly: true });
    const keyring = Keyring.open(data, nativeCrypto, masterKey);
    try {
      return checkKeyring(keyring, readCatalog(state).roles.values(), true)[0] ?? null;
    } finally {
      keyring.close();
      state.close();
    }
  } catch (error) {
    return (error as Error).message;
  }
}

function flip(file: string, at: number, bit: number): void {
  const handle = openSync(file, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(handle, byte, 0, 1, at);
    byte[0]! ^= 1 << bit;
    writeSync(handle, byte, 0, 1, at);
  } finally {
    closeSync(handle);
  }
}

type Outcome = 'found' | 'carries nothing' | 'made anew from the chain' | 'MISSED' | 'MISNAMED';

async function outcomeOf(directory: Directory, file: string): Promise<[Outcome, string]> {
  const { data, masterKey, content } = directory;
  const fault = await faultOf(data, masterKey);
  if (fault === null) {
    if (contentOf(data, masterKey) === content) return ['carries nothing', ''];
    // A log that ends early is what a power loss leaves, and recovery executes the blocks again.
    if (/^(state|chain)[\\/].*-wal$/.test(file)) return ['made anew from the chain', ''];
    return ['MISSED', 'and what is read is not as before'];
  }
  const name = path.basename(file).replace(/-wal$/, '');
  return [fault.includes(name) ? 'found' : 'MISNAMED', fault];
}

async function main(): Promise<number> {
  const random = seeded(Number(flags.seed));
  const below = (n: number): number => Math.floor(random() * n);
  console.log(`bit rot: seed ${flags.seed}`);
  await using node = await NodeProcess.start();
  const masterKey = readMasterKey(path.join(node.directory, 'master.key'));
  await run(node, BEFORE);
  await node.stop();
  const stopped = path.join(node.directory, 'stopped');
  cpSync(node.data, stopped, { recursive: true });
  await node.start();
  await run(node, AFTER);
  await node.kill();
  const directories = [look(stopped, masterKey), look(node.data, masterKey)];
  const counts = new Map<Outcome, number>();
  const ended = Date.now() + Number(flags.minutes) * 60_000;
  const goesOn = (flips: number): boolean =>
    flags.flips === undefined ? Date.now() < ended : flips < Number(flags.flips);
  let faults = 0;
  for (let flips = 0; goesOn(flips); flips += 1) {
    const directory = directories[flips % 2]!;
    const file = directory.files[below(directory.files.length)]!;
    const whole = path.join(directory.data, file);
    const [at, bit] = [below(statSync(whole).size), below(8)];
    flip(whole, at, bit);
    const [outcome, fault] = await outcomeOf(directory, file);
    flip(whole, at, bit);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    if (outcome !== 'MISSED' && outcome !== 'MISNAMED') continue;
    faults += 1;
    console.error(
      `${path.basename(directory.data)}/${file}, bit ${bit} of byte ${at}: ${outcome}: ${fault}`,
    );
  }
  for (const { data } of directories) {
    const fault = await faultOf(data, masterKey);
    if (fault !== null) console.error(`with all bits back: ${fault}`);
    if (fault !== null) faults += 1;
  }
  console.log([...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', '));
  return faults === 0 ? 0 : 1;
}

process.exitCode = await main();
