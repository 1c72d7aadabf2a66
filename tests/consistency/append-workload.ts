// Clients at all nodes that append to lists and read them, while something is done to the nodes. Shell.
//
// A list is the text of a row, and each list has a table of its own, since SERIALIZABLE looks at whole tables. What
// every client has heard is kept as a history for the checker. Each turn (`loadWhile`) has new lists and a new history.

import pg from 'pg';
import { isRefusal } from '../end-to-end/crash-workload.ts';
import { anomalies } from './checker.ts';
import type { Append, Operation, Read } from './history.ts';

const LISTS = ['a', 'b', 'c'] as const;
const TABLES = LISTS.map((list) => `CREATE TABLE list_${list} (turn int PRIMARY KEY, v text)`);
const EVERYTHING = `SELECT ${LISTS.map(
  (list) => `(SELECT v FROM list_${list} WHERE turn = $1) AS ${list}`,
).join(', ')}`;
/** Between attempts to reach a node that does not answer. */
const AGAIN_MS = 100;

interface Session {
  readonly client: pg.Client;
  readonly node: number;
  readonly linearizable: boolean;
}

export class AppendWorkload {
  readonly #urls: () => Promise<readonly string[]>;
  readonly #random: () => number;
  #history: Operation[] = [];
  #turn = 0;
  #values = 0;

  /** @param urls where clients may connect, without TLS: one for each node, in their order */
  constructor(urls: () => Promise<readonly string[]>, random: () => number) {
    this.#urls = urls;
    this.#random = random;
  }

  async prepare(): Promise<void> {
    await this.#at(0, false, async ({ client }) => {
      for (const table of TABLES) await client.query(table);
    });
  }

  /** Operations of this turn that were answered, by what they did. */
  get counts(): { readonly appends: number; readonly reads: number; readonly unknown: number } {
    const done = this.#history.filter(({ outcome }) => outcome === 'done');
    const appends = done.filter((each) => each.appends.length > 0).length;
    const unknown = this.#history.filter(({ outcome }) => outcome === 'unknown').length;
    return { appends, reads: done.length - appends, unknown };
  }

  /** Lets `clients` clients at each node, every second of them linearizable, append and read until `work` is done. */
  async loadWhile(clients: number, work: () => Promise<void>): Promise<void> {
    this.#turn += 1;
    this.#history = [];
    await this.#at(0, false, async ({ client }) => {
      for (const list of LISTS) {
        await client.query(`INSERT INTO list_${list} VALUES ($1, '')`, [this.#turn]);
      }
    });
    const nodes = [...(await this.#urls()).keys()];
    // A node that has not executed that yet would append to no row, and rightly say so.
    for (const node of nodes) {
      await this.#at(node, true, async (session) => void (await this.#readAll(session)));
    }
    const stop = { asked: false };
    const running = nodes.flatMap((node) =>
      Array.from({ length: clients }, (_, i) => this.#client(node, i % 2 === 1, stop)),
    );
    try {
      await work();
    } finally {
      stop.asked = true;
      await Promise.all(running);
    }
  }

  /** Reads everything once more at each node. @returns what nothing explains, one sentence each */
  async check(): Promise<string[]> {
    for (const node of (await this.#urls()).keys()) {
      await this.#at(node, true, (session) => this.#operate(session, () => this.#readAll(session)));
      const { outcome } = this.#history.at(-1)!;
      if (outcome !== 'done') throw new Error(`the last read at node ${node + 1} was ${outcome}`);
    }
    return anomalies(this.#history);
  }

  async #client(
    node: number,
    linearizable: boolean,
    stop: { readonly asked: boolean },
  ): Promise<void> {
    while (!stop.asked) {
      try {
        await this.#at(node, linearizable, async (session) => {
          while (!stop.asked)
            await this.#operate(session, (appends) => this.#any(session, appends));
        });
      } catch {
        // The node is gone, or says that it cannot serve: what was under way is in the history as unknown.
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  async #at(
    node: number,
    linearizable: boolean,
    work: (session: Session) => Promise<void>,
  ): Promise<void> {
    const client = new pg.Client({ connectionString: (await this.#urls())[node]! });
    client.on('error', () => undefined);
    try {
      await client.connect();
      if (linearizable) await client.query(`SET ledger.read_consistency = 'linearizable'`);
      await work({ client, node, linearizable });
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /**
   * One operation, into the history. Rejects when the session can no longer be used.
   *
   * @param run  says what it appends before it does it: of what has no answer nothing else is known
   */
  async #operate(session: Session, run: (appends: Append[]) => Promise<Read[]>): Promise<void> {
    const { client, node, linearizable } = session;
    const invokedMs = performance.now();
    const appends: Append[] = [];
    const record = (outcome: Operation['outcome'], reads: readonly Read[]): void => {
      const returnedMs = performance.now();
      this.#history.push({ node, invokedMs, returnedMs, outcome, linearizable, reads, appends });
    };
    try {
      record('done', await run(appends));
    } catch (error) {
      record(isRefusal(error) ? 'refused' : 'unknown', []);
      if (!isRefusal(error)) throw error;
      await client.query('ROLLBACK');
    }
  }

  async #any(session: Session, appends: Append[]): Promise<Read[]> {
    const kind = this.#random();
    if (kind < 0.4) return this.#readAll(session);
    const { client } = session;
    if (kind < 0.8) {
      await this.#append(client, appends);
      return [];
    }
    await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
    const reads = [await this.#readOne(client)];
    await this.#append(client, appends);
    if (kind < 0.9) await this.#append(client, appends);
    await client.query('COMMIT');
    return reads;
  }

  async #append(client: pg.Client, appends: Append[]): Promise<void> {
    const list = this.#list();
    const value = (this.#values += 1);
    appends.push({ list, value });
    await client.query({
      name: `append ${list}`,
      text: `UPDATE list_${list} SET v = v || $2 WHERE turn = $1`,
      values: [this.#turn, ` ${value}`],
    });
  }

  async #readOne(client: pg.Client): Promise<Read> {
    const list = this.#list();
    const { rows } = await client.query<{ v: string }>({
      name: `read ${list}`,
      text: `SELECT v FROM list_${list} WHERE turn = $1`,
      values: [this.#turn],
    });
    return { list, values: valuesOf(rows[0]?.v) };
  }

  async #readAll({ client }: Session): Promise<Read[]> {
    const { rows } = await client.query<Record<string, string | null>>({
      name: 'everything',
      text: EVERYTHING,
      values: [this.#turn],
    });
    return LISTS.map((list) => ({ list, values: valuesOf(rows[0]?.[list]) }));
  }

  #list(): (typeof LISTS)[number] {
    return LISTS[Math.floor(this.#random() * LISTS.length)]!;
  }
}

/** Without its row it is read as empty, and the checker knows whether it may be. */
function valuesOf(text: string | null | undefined): number[] {
  return (text ?? '').split(' ').filter(Boolean).map(Number);
}
