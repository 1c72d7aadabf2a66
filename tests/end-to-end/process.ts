// The real process for tests: a node in a directory of its own, started, killed and stopped. Shell.
//
// (1) What a test starts it ends: `await using node = await NodeProcess.start()`.
// (2) Nothing is left outside the directory: the master key lies in it as well.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const PROJECT = path.resolve(import.meta.dirname, '../..');
export const MAIN = path.join(PROJECT, 'cli/main.ts');

/** As `npm start` has them. */
const NODE_FLAGS = ['--use-largepages=silent'];

/** A start or a stop that takes longer, in ms, has failed. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
/** Characters. */
const ACCOUNT_LENGTH_MAX = 8_000;

/** What a command left behind. `code` is null when a signal ended it. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, with `input` on its standard input. */
export async function run(
  command: string,
  parameters: readonly string[],
  options: {
    readonly input?: string;
    readonly env?: NodeJS.ProcessEnv;
    readonly cwd?: string;
  } = {},
): Promise<Finished> {
  const child = spawn(command, parameters, {
    cwd: options.cwd ?? PROJECT,
    env: { ...process.env, ...options.env },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output };
}

/** Runs the project's own command line, as `trustsql …` does. */
export function trustsql(...parameters: string[]): Promise<Finished> {
  return run(process.execPath, [MAIN, ...parameters]);
}

/** A node on a data directory. Dispose of it when done: that ends it and removes the directory. */
export class NodeProcess {
  readonly directory: string;
  readonly data: string;
  readonly port: number;
  /** At every start from now on. */
  startFlags: readonly string[];
  /** Of Node itself, at every start from now on. */
  nodeFlags = NODE_FLAGS;
  /** Added to the environment, at every start from now on. */
  env: Readonly<Record<string, string>> = {};
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(
    directory: string,
    data: string,
    port: number,
    startFlags: readonly string[] = [],
  ) {
    this.directory = directory;
    this.data = data;
    this.port = port;
    this.startFlags = startFlags;
  }

  /** A node on a data directory that is there, not started yet. Its master key is `master.key` in `directory`. */
  static on(directory: string, data: string, port: number, startFlags: readonly string[]) {
    return new NodeProcess(directory, data, port, startFlags);
  }

  /** Makes a directory and starts a node in it. Resolves when it takes connections. */
  static async start(...flags: string[]): Promise<NodeProcess> {
    const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-test-'));
    const node = new NodeProcess(directory, path.join(directory, 'data'), await freePort());
    try {
      await node.start(...flags);
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  /** Flags that every command on this directory needs. */
  get flags(): string[] {
    return ['--data', this.data, '--key-file', path.join(this.directory, 'master.key')];
  }

  /** Starts it again after `kill` or `stop`. @throws Error with its output when it does not come up */
  async start(...flags: string[]): Promise<void> {
    const child = spawn(
      process.execPath,
      [
        ...this.nodeFlags,
        MAIN,
        'start',
        ...this.flags,
        '--port',
        String(this.port),
        ...this.startFlags,
        ...flags,
      ],
      { cwd: PROJECT, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.env } },
    );
    this.#child = child;
    this.#output = '';
    await new Promise<void>((resolve, reject) => {
      const give = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        give(new Error(`the node was not ready in time:\n${this.#output}`));
      }, START_TIMEOUT_MS);
      const read = (text: string): void => {
        this.#output += text;
        if (!this.#output.includes('TrustSQL is ready')) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout.setEncoding('utf8').on('data', read);
      child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
      child.once('close', (code) =>
        give(new Error(`the node ended with ${String(code)}:\n${this.#output}`)),
      );
    });
  }

  /** What it has written since its last start, to both outputs. */
  get output(): string {
    return this.#output;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Whether it runs, or how it ended by itself, and the end of what it has written: for whoever looks for the reason of a fault. */
  get account(): string {
    const { exitCode = null, signalCode = null } = this.#child ?? {};
    const ended = exitCode ?? signalCode;
    const fate = ended === null ? 'runs' : `ended with ${ended}`;
    return `the node ${fate}:\n${this.#output.slice(-ACCOUNT_LENGTH_MAX)}`;
  }

  /** Ends it as a power cut would end the process: SIGKILL. Resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Asks it to stop and waits. Returns its exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const closed = once(child, 'close');
    child.kill(signal);
    const [code] = (await closed) as [number | null];
    clearTimeout(timer);
    return code;
  }

  /** The line of <data>/admin.url, as a person pastes it after psql. */
  async adminUrl(): Promise<string> {
    return (await readFile(path.join(this.data, 'admin.url'), 'utf8')).trim();
  }

  /** The same without TLS, for drivers that would want the certificate's authority. */
  async clearUrl(): Promise<string> {
    const url = new URL(await this.adminUrl());
    url.searchParams.delete('sslmode');
    url.port = String(this.port);
    return url.href;
  }

  /** `trustsql verify` of the data directory. */
  verify(...flags: string[]): Promise<Finished> {
    return trustsql('verify', '--data', this.data, ...flags);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A port on 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** The path of a program of the machine, looked for where PostgreSQL puts its own as well. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/lib/postgresql/15/bin'];
  return folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
}

/** A start that another program, or another user, makes of the node's command line. */
export async function startedBy(
  node: NodeProcess,
  wrap: readonly string[],
  options: { readonly uid?: number; readonly env?: NodeJS.ProcessEnv } = {},
) {
  const [program = '', ...rest] = [
    ...wrap,
    ...[process.execPath, MAIN, 'start', ...node.flags, '--port', String(node.port)],
  ];
  const identity = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid };
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    cwd: PROJECT,
    ...identity,
  });
  const output = { text: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.text += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.text += text));
  const closed = once(child, 'close') as Promise<[number | null]>;
  const end = Date.now() + START_TIMEOUT_MS;
  while (!output.text.includes('TrustSQL is ready') && child.exitCode === null) {
    if (Date.now() > end) child.kill('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { child, output, closed };
}
