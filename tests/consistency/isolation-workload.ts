// Clients that append to lists and read them at one isolation level, by key and by predicate, with savepoints and rollbacks. Shell.
//
// A list is a row; some are there from the beginning, others are made by the first append. What each transaction has seen is
// kept for the checker (isolation.ts).

import { setImmediate } from 'node:timers/promises';
import pg from 'pg';
import type { Level } from './anomalies.ts';
import type { Read, Step, Transaction } from './history.ts';

const LISTS = 6;
/** Lists of one predicate: those whose id has the same rest. */
const PARTS = 3;
const STEPS_MAX = 4;
/** What another one has made impossible: a conflict, a deadlock, a key that is there by now. */
const REFUSALS = new Set(['40001', '40P01', '23505']);

interface ListRow {
  readonly id: number;
  readonly v: string;
}

/** Lets `clients` clients do `transactions` transactions each. @returns the history, everything read at its end */
export async function isolationHistory(
  url: string,
  level: Level,
  random: () => number,
  { clients, transactions }: { readonly clients: number; readonly transactions: number },
): Promise<Transaction[]> {
  const history: Transaction[] = [];
  const values = { last: 0 };
  const open = async (session: number): Promise<Client> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return new Client(client, session, level, random, values, history);
  };
  const reader = await open(0);
  await reader.prepare();
  const all = await Promise.all(Array.from({ length: clients }, (_, i) => open(i + 1)));
  await Promise.all(all.map((client) => client.work(transactions)));
  await reader.readAll();
  await Promise.all([reader, ...all].map((client) => client.close()));
  return history;
}

class Client {
  readonly #client: pg.Client;
  readonly #session: number;
  readonly #level: Level;
  readonly #random: () => number;
  readonly #values: { last: number };
  readonly #history: Transaction[];
  #steps: Step[] = [];

  constructor(
    client: pg.Client,
    session: number,
    level: Level,
    random: () => number,
    values: { last: number },
    history: Transaction[],
  ) {
    this.#client = client;
    this.#session = session;
    this.#level = level;
    this.#random = random;
    this.#values = values;
    this.#history = history;
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  async prepare(): Promise<void> {
    await this.#client.query('DROP TABLE IF EXISTS list');
    await this.#client.query(
      'CREATE TABLE list (id int PRIMARY KEY, part int NOT NULL, v text NOT NULL)',
    );
    await this.#client.query(
      `INSERT INTO list SELECT n, n % ${PARTS}, '' FROM generate_series(1, ${LISTS / 2}) n`,
    );
  }

  async work(transactions: number): Promise<void> {
    for (let n = 0; n < transactions; n += 1) {
      await this.#transaction(async () => {
        const steps = this.#below(STEPS_MAX) + 1;
        for (let i = 0; i < steps; i += 1) await this.#any();
        if (this.#random() < 0.1) throw new RolledBack();
      });
    }
  }

  readAll(): Promise<void> {
    return this.#transaction(async () => {
      const { rows } = await this.#client.query<ListRow>('SELECT id, v FROM list');
      this.#read(rows, () => true);
    });
  }

  async #transaction(work: () => Promise<void>): Promise<void> {
    this.#steps = [];
    const invokedMs = performance.now();
    let outcome: Transaction['outcome'] = 'done';
    try {
      await this.#client.query(`BEGIN ISOLATION LEVEL ${this.#level}`);
      await work();
      await this.#client.query('COMMIT');
    } catch (error) {
      const { code } = error as { code?: string };
      if (!(error instanceof RolledBack) && !REFUSALS.has(code ?? '')) throw error;
      await this.#client.query('ROLLBACK');
      outcome = 'refused';
    }
    const returnedMs = performance.now();
    const steps = this.#steps;
    this.#history.push({ session: this.#session, invokedMs, returnedMs, outcome, steps });
  }

  #any(): Promise<void> {
    const kind = this.#random();
    if (kind < 0.25) return this.#readOne();
    if (kind < 0.45) return this.#readPart();
    if (kind < 0.65) return this.#append(this.#next());
    if (kind < 0.75) return this.#appendToPart();
    if (kind < 0.85) return this.#savepoint();
    // At READ COMMITTED this may lose updates, and says so to nobody.
    return this.#level === 'read committed' ? this.#append(this.#next()) : this.#rewrite();
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  #next(): number {
    return (this.#values.last += 1);
  }

  /** Lists of `which` that are not among the rows were read too: as empty. */
  #read(rows: readonly ListRow[], which: (id: number) => boolean): void {
    const reads: Read[] = [];
    for (let id = 1; id <= LISTS; id += 1) {
      const row = rows.find((each) => each.id === id);
      if (row !== undefined || which(id))
        reads.push({ list: String(id), values: valuesOf(row?.v) });
    }
    this.#steps.push({ kind: 'read', reads });
  }

  async #readOne(): Promise<void> {
    const id = this.#below(LISTS) + 1;
    const { rows } = await this.#client.query<ListRow>('SELECT id, v FROM list WHERE id = $1', [
      id,
    ]);
    this.#read(rows, (each) => each === id);
  }

  async #readPart(): Promise<void> {
    const part = this.#below(PARTS);
    const text = 'SELECT id, v FROM list WHERE part = $1';
    const { rows } = await this.#client.query<ListRow>(text, [part]);
    this.#read(rows, (id) => id % PARTS === part);
  }

  async #append(value: number, id = this.#below(LISTS) + 1): Promise<void> {
    const text = 'UPDATE list SET v = v || $2 WHERE id = $1';
    const { rowCount } = await this.#client.query(text, [id, ` ${value}`]);
    if (rowCount === 0) {
      const insert =
        'INSERT INTO list VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET v = list.v || $3';
      await this.#client.query(insert, [id, id % PARTS, ` ${value}`]);
    }
    this.#steps.push({ kind: 'append', append: { list: String(id), value } });
    // The others get a turn.
    await setImmediate();
  }

  async #appendToPart(): Promise<void> {
    const part = this.#below(PARTS);
    const value = this.#next();
    const text = 'UPDATE list SET v = v || $2 WHERE part = $1 RETURNING id, v';
    const { rows } = await this.#client.query<ListRow>(text, [part, ` ${value}`]);
    const before = rows.map(({ id, v }) => ({ id, v: v.slice(0, v.lastIndexOf(' ')) }));
    this.#read(before, (id) => id % PARTS === part);
    for (const { id } of rows) {
      this.#steps.push({ kind: 'append', append: { list: String(id), value } });
    }
  }

  async #savepoint(): Promise<void> {
    await this.#client.query('SAVEPOINT s');
    const id = this.#below(LISTS) + 1;
    const value = this.#next();
    await this.#append(value, id);
    if (this.#random() < 0.5) {
      await this.#client.query('ROLLBACK TO s');
      this.#steps.push({ kind: 'undo', appends: [{ list: String(id), value }] });
    } else await this.#client.query('RELEASE s');
  }

  /** Writes the list as it was read, and a value: above READ COMMITTED nothing can have come between. */
  async #rewrite(): Promise<void> {
    const id = this.#below(LISTS) + 1;
    const { rows } = await this.#client.query<ListRow>('SELECT id, v FROM list WHERE id = $1', [
      id,
    ]);
    this.#read(rows, (each) => each === id);
    await setImmediate();
    if (rows[0] === undefined) return;
    const value = this.#next();
    const text = `${rows[0].v} ${value}`;
    await this.#client.query('UPDATE list SET v = $2 WHERE id = $1', [id, text]);
    this.#steps.push({ kind: 'append', append: { list: String(id), value } });
  }
}

class RolledBack extends Error {
  override readonly name = 'RolledBack';
}

function valuesOf(text: string | undefined): number[] {
  return (text ?? '').split(' ').filter(Boolean).map(Number);
}
