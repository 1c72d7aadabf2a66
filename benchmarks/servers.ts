// The two servers that are measured: a node, and a PostgreSQL 15 of its own. Shell.
//
// PostgreSQL runs with its defaults (fsync on), in a temporary directory on the same file system as the node's
// data directory. Both listen on 127.0.0.1 and are used without TLS.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort, NodeProcess, run } from '../tests/end-to-end/process.ts';

export interface Measured {
  readonly name: 'TrustSQL' | 'PostgreSQL 15';
  /** For libpq. */
  readonly url: string;
}

export class PrivatePostgres implements Measured {
  readonly name = 'PostgreSQL 15';
  readonly url: string;
  readonly #directory: string;

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.url = `postgresql://postgres@127.0.0.1:${port}/postgres?sslmode=disable`;
  }

  /**
   * @param standby  with a second server that has what is committed before the client hears of it
   * @throws Error when initdb or a server fails, with what it said
   */
  static async start({ standby = false } = {}): Promise<PrivatePostgres> {
    const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-postgres-'));
    if (process.getuid?.() === 0) execFileSync('chown', ['postgres', directory]);
    const port = await freePort();
    const postgres = new PrivatePostgres(directory, port);
    const data = path.join(directory, 'data');
    const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${directory}`;
    try {
      await asPostgres('initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '--locale=C.UTF-8');
      const log = path.join(directory, 'log');
      await asPostgres('pg_ctl', '-D', data, '-w', '-l', log, '-o', settings, 'start');
      if (standby) await postgres.#addStandby();
    } catch (error) {
      await postgres[Symbol.asyncDispose]();
      throw error;
    }
    return postgres;
  }

  async #addStandby(): Promise<void> {
    const data = path.join(this.#directory, 'standby');
    const port = await freePort();
    const log = path.join(this.#directory, 'standby.log');
    const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${this.#directory}`;
    await asPostgres('pg_basebackup', '-D', data, '-R', '-d', this.url);
    await asPostgres('pg_ctl', '-D', data, '-w', '-l', log, '-o', settings, 'start');
    const wait = `ALTER SYSTEM SET synchronous_standby_names = '*'`;
    for (const text of [wait, 'SELECT pg_reload_conf()']) {
      const { code, stderr } = await run('psql', ['-q', '-c', text, this.url]);
      if (code !== 0) throw new Error(stderr);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of ['standby', 'data']) {
      const data = path.join(this.#directory, name);
      if (!existsSync(path.join(data, 'postmaster.pid'))) continue;
      // A primary that waits for its standby ends when it is told at once.
      await asPostgres('pg_ctl', '-D', data, '-m', 'immediate', '-w', 'stop');
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A node in a directory of its own, made for this run. */
export class MeasuredNode implements Measured {
  readonly name = 'TrustSQL';
  readonly url: string;
  readonly node: NodeProcess;

  private constructor(node: NodeProcess, url: string) {
    this.node = node;
    this.url = url;
  }

  static async start(): Promise<MeasuredNode> {
    const node = await NodeProcess.start();
    return new MeasuredNode(node, `${await node.clearUrl()}?sslmode=disable`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
  }
}

/** Where Debian puts PostgreSQL's programs; elsewhere PATH is searched. */
const POSTGRES_BIN = '/usr/lib/postgresql/15/bin';

/** initdb and the server refuse to run as root. */
async function asPostgres(name: string, ...parameters: string[]): Promise<void> {
  const program = existsSync(POSTGRES_BIN) ? path.join(POSTGRES_BIN, name) : name;
  const root = process.getuid?.() === 0;
  const command = root ? 'runuser' : program;
  const given = root ? ['-u', 'postgres', '--', program, ...parameters] : parameters;
  const { code, stdout, stderr } = await run(command, given, { cwd: tmpdir() });
  if (code !== 0) throw new Error(`${name}: ${stdout}${stderr}`);
}
