// Clients that write to a node while its files are recorded, and what must be there after a power loss. Shell.
//
// Each transaction has a name that is used once, and a row in `entry` with it; whatever else it writes names it too, so that
// what is there of it can be counted. A mark in the log says that it is about to be sent, and what its client heard.

import type pg from 'pg';
import { connected, isRefusal } from '../../end-to-end/crash-workload.ts';
import type { Marker } from './log.ts';

const ACCOUNTS = 4;
const BALANCE = 1000;
const COUNTERS = 3;

const SCHEMA = [
  'CREATE TABLE entry (name text NOT NULL, kind text NOT NULL, number bigserial UNIQUE)',
  'CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))',
  'CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL)',
  'CREATE TABLE taken (name text PRIMARY KEY)',
  'CREATE TABLE part (name text NOT NULL, n int NOT NULL, padding text, PRIMARY KEY (name, n))',
  `INSERT INTO account SELECT n, ${BALANCE} FROM generate_series(1, ${ACCOUNTS}) n`,
  `INSERT INTO taken VALUES ('taken')`,
];

/** Rows of `part` that a transaction of the kind writes. */
const PARTS: Readonly<Record<string, number>> = { several: 5, page: 60, chunks: 300 };
/** Characters in each of those: a page stays below what goes ahead in chunks. */
const PADDING: Readonly<Record<string, number>> = { several: 20, page: 6_000, chunks: 2_500 };

/** Kinds of transactions, as often as each is drawn. */
const KINDS = [
  ...Array<string>(6).fill('single'),
  ...Array<string>(4).fill('counter'),
  ...Array<string>(4).fill('transfer'),
  ...Array<string>(2).fill('refused'),
  ...Array<string>(2).fill('rolled back'),
  ...Array<string>(4).fill('several'),
  ...['page', 'chunks', 'table', 'column', 'role'],
];

export type Mark =
  | { readonly ready: true }
  | {
      readonly name: string;
      readonly kind: string;
      readonly fate: 'sent' | 'acknowledged' | 'refused';
    };

export class NodeLoad {
  readonly #marker: Marker;
  readonly #random: () => number;
  readonly #kinds: readonly string[];
  readonly #prefix: string;
  #names = 0;

  /** @param kinds  to draw from; all if none are given. @param prefix  of names, one letter */
  constructor(
    marker: Marker,
    random: () => number,
    kinds: readonly string[] = KINDS,
    prefix = 'n',
  ) {
    this.#prefix = prefix;
    this.#marker = marker;
    this.#random = random;
    this.#kinds = kinds;
  }

  async prepare(url: string): Promise<void> {
    await connected(url, async (client) => {
      for (const statement of SCHEMA) await client.query(statement);
    });
    this.#marker.mark({ ready: true } satisfies Mark);
  }

  /** So many transactions, by so many clients together. @throws Error when a client is cut off */
  async run(url: string, clients: number, transactions: number): Promise<void> {
    let left = transactions;
    const client = (): Promise<void> =>
      connected(url, async (connection) => {
        for (; left > 0; left -= 1) await this.#transaction(connection);
      });
    await Promise.all(Array.from({ length: clients }, client));
  }

  async #transaction(client: pg.Client): Promise<void> {
    const name = `${this.#prefix}${(this.#names += 1)}`;
    const kind = this.#kinds[this.#below(this.#kinds.length)]!;
    const mark = (fate: 'sent' | 'acknowledged' | 'refused'): void =>
      this.#marker.mark({ name, kind, fate } satisfies Mark);
    mark('sent');
    try {
      await this.#send(client, kind, name);
      mark(kind === 'rolled back' ? 'refused' : 'acknowledged');
    } catch (error) {
      if (!isRefusal(error)) throw error;
      mark('refused');
      await client.query('ROLLBACK');
    }
  }

  async #send(client: pg.Client, kind: string, name: string): Promise<void> {
    const insert = 'INSERT INTO entry (name, kind) VALUES ($1, $2)';
    if (kind === 'single') return void (await client.query(insert, [name, kind]));
    await client.query('BEGIN');
    await client.query(insert, [name, kind]);
    await this.#more(client, kind, name);
    await client.query(kind === 'rolled back' ? 'ROLLBACK' : 'COMMIT');
  }

  async #more(client: pg.Client, kind: string, name: string): Promise<void> {
    const rows = PARTS[kind];
    if (rows !== undefined) {
      const text =
        'INSERT INTO part SELECT $1, n, repeat(chr(65 + n % 26), $3) FROM generate_series(1, $2) n';
      await client.query(text, [name, rows, PADDING[kind]]);
    } else if (kind === 'counter') {
      const text =
        'INSERT INTO counter VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET n = counter.n + 1';
      await client.query(text, [1 + this.#below(COUNTERS)]);
    } else if (kind === 'transfer') {
      await this.#transfer(client);
    } else if (kind === 'refused') {
      await client.query(`INSERT INTO taken VALUES ('taken')`);
    } else if (kind === 'table') {
      await client.query(`CREATE TABLE made_${name} (id int PRIMARY KEY)`);
    } else if (kind === 'column') {
      await client.query(`ALTER TABLE taken ADD COLUMN ${name} text`);
    } else if (kind === 'role') {
      await client.query(`CREATE ROLE ${name} LOGIN PASSWORD '${name}'`);
    }
  }

  async #transfer(client: pg.Client): Promise<void> {
    const from = 1 + this.#below(ACCOUNTS - 1);
    const amount = 1 + this.#below(50);
    // In the order of their keys, so that no two clients wait for each other.
    for (const [id, change] of [
      [from, -amount],
      [from + 1, amount],
    ] as const) {
      await client.query('UPDATE account SET balance = balance + $2 WHERE id = $1', [id, change]);
    }
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }
}

/** Whatever is read of the ledger to compare it with what clients were told. */
export interface Found {
  readonly entries: readonly {
    readonly name: string;
    readonly kind: string;
    readonly number: bigint;
  }[];
  readonly parts: ReadonlyMap<string, number>;
  /** Sums of the columns. */
  readonly counted: bigint;
  readonly balances: bigint;
  readonly tables: ReadonlySet<string>;
  readonly columns: ReadonlySet<string>;
  readonly roles: ReadonlySet<string>;
  /** What the sequence of `entry.number` has given at most. */
  readonly sequence: bigint;
}

/** What is not as the marks up to a moment, and the refusals of all times, say it must be. One sentence each. */
export function faultsIn(found: Found, before: readonly Mark[], all: readonly Mark[]): string[] {
  const faults: string[] = [];
  const times = new Map<string, number>();
  const numbers = new Set<bigint>();
  for (const { name, kind, number } of found.entries) {
    times.set(name, (times.get(name) ?? 0) + 1);
    if (numbers.has(number)) faults.push(`number ${number} was given twice`);
    if (number > found.sequence) faults.push(`number ${number} will be given again`);
    numbers.add(number);
    const parts = found.parts.get(name) ?? 0;
    if (parts !== (PARTS[kind] ?? 0)) faults.push(`${kind} ${name} has ${parts} parts`);
  }
  for (const name of found.parts.keys()) {
    if (!times.has(name)) faults.push(`there are parts of ${name} alone`);
  }
  const sent = new Set(before.flatMap((mark) => ('name' in mark ? [mark.name] : [])));
  for (const [name, count] of times) {
    if (count > 1) faults.push(`${name} is there ${count} times`);
    if (!sent.has(name)) faults.push(`${name} is there and was not sent yet`);
  }
  for (const mark of before) {
    if ('name' in mark && mark.fate === 'acknowledged' && !times.has(mark.name)) {
      faults.push(`acknowledged ${mark.kind} ${mark.name} is not there`);
    }
  }
  for (const mark of all) {
    if ('name' in mark && mark.fate === 'refused' && times.has(mark.name)) {
      faults.push(`refused ${mark.kind} ${mark.name} is there`);
    }
  }
  return [...faults, ...effectFaults(found)];
}

/** Whether what came with an entry is there when the entry is, and only then. */
function effectFaults({ entries, ...found }: Found): string[] {
  const faults: string[] = [];
  const named = (kind: string): Set<string> =>
    new Set(entries.filter((entry) => entry.kind === kind).map(({ name }) => name));
  const effects = [
    ['table', found.tables],
    ['column', found.columns],
    ['role', found.roles],
  ] as const;
  for (const [kind, names] of effects) {
    const entered = named(kind);
    for (const name of new Set([...entered, ...names])) {
      if (entered.has(name) && names.has(name)) continue;
      faults.push(`${kind} ${name} and its entry are not both there`);
    }
  }
  const counted = named('counter').size;
  if (BigInt(counted) !== found.counted)
    faults.push(`the counters are ${found.counted}, not ${counted}`);
  if (found.balances !== BigInt(ACCOUNTS * BALANCE))
    faults.push(`the balances make ${found.balances}`);
  return faults;
}
