// Sessions that take the steps of an anomaly, one after the other, against a node or a PostgreSQL. Shell.

import pg from 'pg';
import { ROWS, TABLE } from './anomalies.ts';
import type { Anomaly, Level } from './anomalies.ts';

/** Between two looks at whether a session waits. */
const LOOK_MS = 10;

type Answer = Pick<pg.QueryResult<Record<string, number>>, 'command' | 'rowCount' | 'rows'>;

class Session {
  readonly #client: pg.Client;
  readonly #pid: number;
  #failed = false;
  #pending: Promise<string> | null = null;

  private constructor(client: pg.Client, pid: number) {
    this.#client = client;
    this.#pid = pid;
  }

  static async open(url: string, level: Level): Promise<Session> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await client.query(`BEGIN ISOLATION LEVEL ${level}`);
    return new Session(client, rows[0]!.pid);
  }

  /** What a statement answers; `waits` when it waits for a lock, which `watcher` sees. */
  async take(statement: string, watcher: pg.Client): Promise<string> {
    if (this.#failed && statement !== 'COMMIT') return '-';
    let answered = false;
    const answer = this.#client.query<Record<string, number>>(statement).then(shown, (error) => {
      this.#failed = true;
      return (error as { code: string }).code;
    });
    this.#pending = answer.finally(() => (answered = true));
    for (;;) {
      await Promise.race([this.#pending, new Promise((resolve) => setTimeout(resolve, LOOK_MS))]);
      if (answered) return this.#pending;
      const { rowCount } = await watcher.query(
        `SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'`,
        [this.#pid],
      );
      if (rowCount === 1 && !answered) return 'waits';
    }
  }

  /** The answer that was waited for. */
  async awaited(): Promise<string> {
    return (await this.#pending) ?? '-';
  }

  close(): Promise<void> {
    return this.#client.end();
  }
}

function shown({ command, rowCount, rows }: Answer): string {
  if (command === 'SELECT' || rows.length > 0) {
    return rows.map(({ id, value }) => `${id}=${value}`).join(' ') || 'none';
  }
  return /^(INSERT|UPDATE|DELETE)$/.test(command) ? String(rowCount) : command;
}

/** What the steps answer at a level, one after the other. */
export async function take(url: string, { steps }: Anomaly, level: Level): Promise<string> {
  const watcher = new pg.Client({ connectionString: url });
  await watcher.connect();
  await watcher.query(`DROP TABLE IF EXISTS test`);
  await watcher.query(TABLE);
  await watcher.query(ROWS);
  const sessions = new Map<string, Session>();
  const answers: string[] = [];
  try {
    for (const number of ['1', '2', '3']) sessions.set(number, await Session.open(url, level));
    for (const step of steps) {
      const session = sessions.get(step[0]!)!;
      answers.push(
        step.endsWith('…') ? await session.awaited() : await session.take(step.slice(3), watcher),
      );
    }
  } finally {
    for (const session of sessions.values()) await session.close();
    await watcher.end();
  }
  return answers.join(', ');
}

/** A database of its own, for as long as `work` takes. */
export async function database(url: string, work: (url: string) => Promise<void>): Promise<void> {
  const name = `trustsql_${process.pid}`;
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  try {
    const own = new URL(url);
    own.pathname = `/${name}`;
    await work(own.href);
  } finally {
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end();
  }
}
