// Clients that write while the node is killed, and the model of what must be there afterwards. Shell.
//
// Each client writes rows with names it never uses twice: one by one, in transactions of several statements,
// and some that must be refused. A name is *acknowledged* when the reply has come, *refused* when an error has
// come, and *unknown* when the connection went down instead. After the node has started again:
//
// (1) every acknowledged name is there once; (2) no refused one is there; (3) an unknown one is there once or
// not at all, and a transaction is there whole or not at all; (4) what each name added to the counter and moved
// between the accounts is counted as often as the name is there.

import pg from 'pg';
import type { NodeProcess } from './process.ts';

type Fate = 'acknowledged' | 'refused' | 'unknown';

const ACCOUNTS = 8;
const BALANCE = 1000;

const SCHEMA = `
  CREATE TABLE entry (name text NOT NULL, kind text NOT NULL, number bigserial);
  CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
  CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL);
  CREATE TABLE taken (name text PRIMARY KEY);
  INSERT INTO account SELECT n, ${BALANCE} FROM generate_series(1, ${ACCOUNTS}) n;
  INSERT INTO counter VALUES (1, 0);
  INSERT INTO taken VALUES ('taken');`;

/** A random number generator with a seed (mulberry32), so that a run can be told by its number. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Ends the node with SIGKILL after so many milliseconds. */
export function killAfter(node: NodeProcess, ms: number): () => Promise<void> {
  return async () => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    await node.kill();
  };
}

/** Whether an error says that nothing was done. Otherwise the connection went down, or the outcome is not known. */
export function isRefusal(error: unknown): boolean {
  const { code } = error as { code?: string };
  // Five characters are a SQLSTATE: an answer. Class 57 is the server going away, 40003 an unknown outcome.
  return code?.length === 5 && !/^(57|08|40003)/.test(code);
}

export class CrashWorkload {
  readonly #urls: () => Promise<readonly string[]>;
  readonly #random: () => number;
  readonly #fates = new Map<string, Fate>();
  #names = 0;
  #onReply: () => void = () => undefined;

  /** @param urls where clients may connect, without TLS */
  constructor(urls: () => Promise<readonly string[]>, random: () => number) {
    this.#urls = urls;
    this.#random = random;
  }

  /** How many names have which fate. */
  get counts(): Readonly<Record<Fate, number>> {
    const counts = { acknowledged: 0, refused: 0, unknown: 0 };
    for (const fate of this.#fates.values()) counts[fate] += 1;
    return counts;
  }

  async prepare(): Promise<void> {
    await connected((await this.#urls())[0]!, async (client) => {
      for (const statement of SCHEMA.split(';\n')) await client.query(statement);
    });
  }

  /**
   * Lets `clients` clients write, spread over all urls, while something is done to the nodes.
   *
   * @param disturb  called after the first reply; after the first connection if `early`
   */
  async loadWhile(clients: number, disturb: () => Promise<void>, early = false): Promise<void> {
    const stop = { asked: false };
    const replied = new Promise<void>((resolve) => (this.#onReply = resolve));
    const urls = await this.#urls();
    const running = Array.from({ length: clients }, (_, i) =>
      this.#write(urls[i % urls.length]!, stop),
    );
    if (!early) await Promise.race([replied, Promise.all(running)]);
    await disturb();
    stop.asked = true;
    await Promise.all(running);
  }

  /** What is not as it must be at one of the urls, one sentence each; empty when all is well. */
  async check(url?: string): Promise<string[]> {
    const faults: string[] = [];
    await connected(url ?? (await this.#urls())[0]!, async (client) => {
      const entries = await client.query<{ name: string; kind: string; n: number }>(
        'SELECT name, kind, count(*)::int AS n FROM entry GROUP BY name, kind',
      );
      const found = new Map(entries.rows.map((row) => [row.name, row]));
      for (const [name, fate] of this.#fates) {
        const times = found.get(name)?.n ?? 0;
        const right =
          fate === 'acknowledged' ? times === 1 : fate === 'refused' ? times === 0 : times < 2;
        if (!right) faults.push(`${fate} ${name} is there ${times} times`);
      }
      const counted = entries.rows.filter((row) => row.kind === 'counter').length;
      const counter = await client.query<{ n: string }>('SELECT n FROM counter');
      if (Number(counter.rows[0]?.n) !== counted) {
        faults.push(`the counter is ${counter.rows[0]?.n}, its entries are ${counted}`);
      }
      const sum = await client.query<{ total: string }>(
        'SELECT sum(balance) AS total FROM account',
      );
      if (Number(sum.rows[0]?.total) !== ACCOUNTS * BALANCE) {
        faults.push(`the balances make ${sum.rows[0]?.total}`);
      }
      const twice = await client.query(
        'SELECT number FROM entry GROUP BY number HAVING count(*) > 1',
      );
      if (twice.rows.length > 0) faults.push(`${twice.rows.length} numbers were given twice`);
    });
    return faults;
  }

  async #write(url: string, stop: { readonly asked: boolean }): Promise<void> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    try {
      await client.connect();
      while (!stop.asked) await this.#writeOne(client);
    } catch {
      // The node is gone: what was under way stays unknown.
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** One transaction. Rejects when the connection is lost. */
  async #writeOne(client: pg.Client): Promise<void> {
    const name = `n${(this.#names += 1)}`;
    this.#fates.set(name, 'unknown');
    const kinds = ['single', 'counter', 'transfer', 'refused', 'rolled back'] as const;
    const kind = kinds[Math.floor(this.#random() * kinds.length)]!;
    try {
      await this.#run(client, kind, name);
      this.#fates.set(name, kind === 'rolled back' ? 'refused' : 'acknowledged');
      this.#onReply();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#fates.set(name, 'refused');
      await client.query('ROLLBACK');
    }
  }

  async #run(client: pg.Client, kind: string, name: string): Promise<void> {
    const insert = 'INSERT INTO entry (name, kind) VALUES ($1, $2)';
    if (kind === 'single') {
      await client.query({ name: 'entry', text: insert, values: [name, kind] });
      return;
    }
    await client.query('BEGIN');
    await client.query(insert, [name, kind]);
    if (kind === 'counter') await client.query('UPDATE counter SET n = n + 1 WHERE id = 1');
    if (kind === 'transfer') await this.#transfer(client);
    if (kind === 'refused') await client.query(`INSERT INTO taken VALUES ('taken')`);
    await client.query(kind === 'rolled back' ? 'ROLLBACK' : 'COMMIT');
  }

  async #transfer(client: pg.Client): Promise<void> {
    const from = 1 + Math.floor(this.#random() * ACCOUNTS);
    const to = 1 + (from % ACCOUNTS);
    const amount = 1 + Math.floor(this.#random() * 50);
    // In the order of their keys, so that no two clients wait for each other.
    const moves = [
      [from, -amount],
      [to, amount],
    ].sort(([left], [right]) => left! - right!);
    for (const [id, change] of moves) {
      await client.query('UPDATE account SET balance = balance + $2 WHERE id = $1', [id, change]);
    }
  }
}

/** Does work over a connection of its own, which the node may cut off. */
export async function connected(
  url: string,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
