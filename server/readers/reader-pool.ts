// The pool of reader processes: queries that are not point reads run there. Shell.
//
// (1) One process runs one query at a time. A portal that is suspended reads ahead, so that most of them
//     give their process back at once; one with more to come keeps it, parked.
// (2) A query that must stop (cancel, time-out, disconnect, memory) is stopped by SIGKILL: readers hold
//     nothing that could be lost. Another process takes its place.
// (3) At most `readersMax` processes work; further queries wait their turn, in order of arrival. Parked
//     processes do not count: nobody waits for what only the client of another session can end.

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Catalog } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Row } from '../../ledger/type.ts';
import type { FromReader, Run, ToReader } from './messages.ts';
import {
  PORTAL_AHEAD_BYTES_MAX,
  PORTAL_HELD_BYTES_MAX,
  PORTALS_HELD_BYTES_MAX,
  READER_CLOSE_MS_MAX,
  READER_MEMORY_CHECK_MS,
  READERS_PARKED_MAX,
} from '../limits.ts';
import { residentMib } from './memory.ts';
import { RowQueue } from './row-source.ts';
import type { RowBatch, RowSource } from './row-source.ts';

export interface ReaderPoolOptions {
  readonly dataDirectory: string;
  readonly readersMax: number;
  /** Resident memory of a reader, in MiB; the query that needs more ends with 53200. */
  readonly memoryMib: number;
  /** Called before anybody hears of a reader's answer. */
  readonly onAnswer: () => void;
  /** Makes all that was executed visible to other connections. */
  readonly settle: () => void;
  readonly onDeath: (code: number | null, signal: string | null) => void;
}

type Answer = Extract<FromReader, { kind: 'rows' | 'values' | 'error' }>;

const ENTRY = fileURLToPath(new URL('./reader-process.ts', import.meta.url));

/** One process and the answer that is awaited from it. */
class Reader {
  readonly process: ChildProcess;
  readonly #options: ReaderPoolOptions;
  /** Settles the answer that is awaited, if any. */
  #settle: ((answer: Answer | SqlError) => void) | null = null;
  dead = false;
  #catalog: Catalog | null = null;

  constructor(
    options: ReaderPoolOptions,
    onExit: (reader: Reader, code: number | null, signal: string | null) => void,
  ) {
    this.#options = options;
    this.process = fork(ENTRY, [options.dataDirectory], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [
        `--max-old-space-size=${options.memoryMib}`,
        // As cli/main.ts does.
        '--no-wasm-code-gc',
        '--disable-warning=ExperimentalWarning',
      ],
    });
    this.process.on('message', (message) => {
      options.onAnswer();
      this.#receive(message as FromReader);
    });
    this.process.on('exit', (code, signal) => {
      this.dead = true;
      this.#finish(readerDied());
      onExit(this, code, signal);
    });
    this.process.on('error', () => this.kill());
  }

  /** Whether a query works in it now. */
  get busy(): boolean {
    return this.#settle !== null && !this.dead;
  }

  ask(message: ToReader): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.dead) return reject(readerDied());
      this.#settle = (answer) => (Error.isError(answer) ? reject(answer) : resolve(answer));
      this.process.send(message, (error) => {
        if (error !== null) this.#finish(readerDied());
      });
    });
  }

  /** Sends a query, after the catalog it is compiled for if the reader has another. */
  start(catalog: Catalog, run: Run): void {
    this.#options.settle();
    if (catalog !== this.#catalog) this.tell({ kind: 'catalog', catalog });
    this.#catalog = catalog;
    this.tell(run);
  }

  tell(message: ToReader): void {
    if (!this.dead) this.process.send(message, () => {});
  }

  kill(reason: SqlError = readerDied()): void {
    this.dead = true;
    this.#finish(reason);
    this.process.kill('SIGKILL');
  }

  #receive(message: FromReader): void {
    if (message.kind === 'ready') return;
    if (message.kind === 'error') {
      this.#finish(new SqlError(message.sqlstate, message.message, message.fields));
    } else this.#finish(message);
  }

  #finish(answer: Answer | SqlError): void {
    const settle = this.#settle;
    this.#settle = null;
    settle?.(answer);
  }
}

function readerDied(): SqlError {
  return new SqlError(SQLSTATE.outOfMemory, 'the process that ran the query has ended', {
    hint: 'The query probably needed more memory than a reader may use.',
  });
}

function outOfMemory(memoryMib: number): SqlError {
  return new SqlError(SQLSTATE.outOfMemory, 'out of memory', {
    detail: `The query needed more than ${memoryMib} MiB.`,
    hint: 'The option readerMemoryMb of the node sets this limit.',
  });
}

export class ReaderPool {
  readonly #options: ReaderPoolOptions;
  readonly #all = new Set<Reader>();
  readonly #idle: Reader[] = [];
  readonly #parked = new Set<Reader>();
  /** Bytes of rows that suspended portals hold. */
  heldBytes = 0;
  readonly #waiting: { resolve: (reader: Reader) => void; reject: (error: SqlError) => void }[] =
    [];
  #closed = false;

  readonly #watch: NodeJS.Timeout;

  constructor(options: ReaderPoolOptions) {
    this.#options = options;
    this.#watch = setInterval(() => this.#checkMemory(), READER_MEMORY_CHECK_MS).unref();
  }

  /** Starts one process ahead of the first query. */
  warm(): void {
    if (this.#all.size === 0) this.#idle.push(this.#start());
  }

  /** Starts a query whose rows come as DataRow messages. Nothing is read before the first `read`. */
  query(catalog: Catalog, run: Run, stop: Stop): ReaderQuery {
    return new ReaderQuery(this, catalog, run, stop);
  }

  /** Runs a query to its end and returns its rows as values. */
  async values(catalog: Catalog, run: Run, stop: Stop): Promise<Row[]> {
    const query = new ReaderQuery(this, catalog, run, stop);
    try {
      return await query.allValues();
    } finally {
      query.close();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    for (const waiting of this.#waiting.splice(0)) waiting.reject(shuttingDown());
    await Promise.all(
      [...this.#all].map((reader) => {
        const gone = new Promise((resolve) => reader.process.once('exit', resolve));
        reader.kill();
        return gone;
      }),
    );
  }

  acquire(stop: Stop): Promise<Reader> {
    if (this.#closed) return Promise.reject(shuttingDown());
    const idle = this.#idle.pop();
    if (idle !== undefined) return Promise.resolve(idle);
    if (!this.#full) return Promise.resolve(this.#start());
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject };
      this.#waiting.push(waiting);
      stop.onStop((reason) => {
        const index = this.#waiting.indexOf(waiting);
        if (index < 0) return;
        this.#waiting.splice(index, 1);
        reject(reason);
      });
    });
  }

  release(reader: Reader): void {
    this.#parked.delete(reader);
    if (reader.dead) return;
    const next = this.#waiting.shift();
    if (next !== undefined) next.resolve(reader);
    // More than enough: processes that were parked have come back.
    else if (this.#all.size - this.#parked.size > this.#options.readersMax) reader.kill();
    else this.#idle.push(reader);
  }

  /** The reader waits for its client: it no longer counts. False when too many do so already. */
  park(reader: Reader): boolean {
    if (reader.dead || this.#parked.size >= READERS_PARKED_MAX) return false;
    this.#parked.add(reader);
    if (!this.#full) this.#waiting.shift()?.resolve(this.#start());
    return true;
  }

  /** The client asks for more: the reader works again, at once. */
  unpark(reader: Reader): void {
    this.#parked.delete(reader);
  }

  #checkMemory(): void {
    const { memoryMib } = this.#options;
    for (const reader of this.#all) {
      if (!reader.busy) continue;
      const used = residentMib(reader.process.pid ?? 0);
      if (used !== null && used > memoryMib) reader.kill(outOfMemory(memoryMib));
    }
  }

  get #full(): boolean {
    return this.#all.size - this.#parked.size >= this.#options.readersMax;
  }

  #start(): Reader {
    const reader = new Reader(this.#options, (dead, code, signal) => {
      this.#all.delete(dead);
      this.#parked.delete(dead);
      const index = this.#idle.indexOf(dead);
      if (index >= 0) this.#idle.splice(index, 1);
      if (this.#closed) return;
      if (signal !== 'SIGKILL') this.#options.onDeath(code, signal);
      const next = this.#waiting.shift();
      if (next !== undefined) next.resolve(this.#start());
      else if (this.#all.size === 0) this.#idle.push(this.#start());
    });
    this.#all.add(reader);
    return reader;
  }
}

function shuttingDown(): SqlError {
  return new SqlError(
    SQLSTATE.adminShutdown,
    'terminating connection due to administrator command',
  );
}

/** Something that may tell a running statement to stop: a cancel request, a time-out, a disconnect. */
export interface Stop {
  /** The reason, once there is one. */
  readonly reason: SqlError | null;
  /** Calls back when there is one (at once if there is). The newest callback replaces the one before. */
  onStop(callback: (reason: SqlError) => void): void;
}

/** A query in a reader process, as a source of rows. */
export class ReaderQuery implements RowSource {
  readonly #pool: ReaderPool;
  readonly #catalog: Catalog;
  readonly #run: Run;
  readonly #stop: Stop;
  readonly #ahead = new RowQueue();
  /** Reading ahead between two commands; it does not reject. */
  #filling: Promise<void> | null = null;
  /** Rows that a command waits for while the query reads ahead. */
  #wanted = 0;
  #failure: SqlError | null = null;
  #reader: Reader | null = null;
  #ended = false;

  constructor(pool: ReaderPool, catalog: Catalog, run: Run, stop: Stop) {
    this.#pool = pool;
    this.#catalog = catalog;
    this.#run = run;
    this.#stop = stop;
  }

  async read(rowsMax: number): Promise<RowBatch> {
    if (this.#filling !== null) await this.#filled(this.#filling, Math.max(rowsMax, 1));
    const short = rowsMax === 0 || this.#ahead.count < rowsMax;
    if (short && this.#failure !== null) throw this.#failure;
    if (rowsMax === 0 && (this.#ahead.count > 0 || this.#ended)) return this.#taken(0);
    if (this.#reader !== null) this.#pool.unpark(this.#reader);
    if (rowsMax === 0) return this.#askRows(0);
    const missing = rowsMax - this.#ahead.count;
    if (missing > 0 && !this.#ended) this.#hold(await this.#askRows(missing));
    const batch = this.#taken(rowsMax);
    if (!this.#ended) this.#filling = this.#fill();
    return batch;
  }

  /** Takes the snapshot now and the first rows with it, so that a plan of yesterday is found before the answer begins. */
  async begin(): Promise<this> {
    this.#hold(await this.#askRows(0));
    return this;
  }

  /** Takes the snapshot now and reads ahead: whoever wants the rows will take them by and by. */
  async open(): Promise<void> {
    if (this.#reader === null && !this.#ended) await this.begin();
    if (!this.#ended) this.#filling ??= this.#fill();
  }

  /** Waits for reading ahead, and stops it where the statement must stop. */
  async #filled(filling: Promise<void>, rows: number): Promise<void> {
    this.#wanted = rows;
    this.#stop.onStop((reason) => this.#reader?.kill(reason));
    await filling;
    this.#filling = null;
    this.#wanted = 0;
    this.#stop.onStop(() => {});
    if (this.#stop.reason !== null) throw this.#stop.reason;
  }

  /** Reads ahead until the query ends or its reader can be parked. */
  async #fill(): Promise<void> {
    try {
      while (!this.#ended && (this.#wanted === 0 || this.#ahead.count < this.#wanted)) {
        const full = this.#pool.heldBytes >= PORTALS_HELD_BYTES_MAX;
        const enough = full || this.#ahead.bytes >= PORTAL_AHEAD_BYTES_MAX;
        if (enough && this.#pool.park(this.#reader!)) return;
        if (full || this.#ahead.bytes >= PORTAL_HELD_BYTES_MAX) throw tooManyPortals();
        const answer = await this.#reader!.ask({ kind: 'more', rowsMax: 0 });
        if (this.#ended) return;
        this.#hold(this.#rowsOf(answer));
      }
    } catch (error) {
      this.#failure = error as SqlError;
      this.#end();
    }
  }

  #hold(batch: RowBatch): void {
    this.#ahead.add(batch);
    this.#pool.heldBytes += batch.bytes.length;
  }

  #taken(rowsMax: number): RowBatch {
    const batch = this.#ahead.take(rowsMax, this.#ended);
    this.#pool.heldBytes -= batch.bytes.length;
    return batch;
  }

  async #askRows(rowsMax: number): Promise<RowBatch> {
    const answer = await this.#ask(rowsMax);
    if (answer.kind !== 'rows') throw new SqlError(SQLSTATE.internalError, 'a reader sent values');
    return answer;
  }

  #rowsOf(answer: Answer): RowBatch {
    if (answer.kind === 'error') throw new SqlError(answer.sqlstate, answer.message, answer.fields);
    if (answer.kind === 'values')
      throw new SqlError(SQLSTATE.internalError, 'a reader sent values');
    if (answer.done) this.#finish();
    return answer;
  }

  async allValues(): Promise<Row[]> {
    const rows: Row[] = [];
    for (;;) {
      const answer = await this.nextValues();
      for (const row of answer.rows) rows.push(row);
      if (answer.done) return rows;
    }
  }

  /** The next rows of a query whose rows come as values. */
  async nextValues(): Promise<{ readonly rows: readonly Row[]; readonly done: boolean }> {
    if (this.#reader !== null) this.#pool.unpark(this.#reader);
    const answer = await this.#ask(0);
    if (answer.kind !== 'values') throw new SqlError(SQLSTATE.internalError, 'a reader sent rows');
    return answer;
  }

  /** Between two `nextValues`: somebody else may need a process before this query goes on. */
  park(): void {
    if (this.#reader !== null && !this.#pool.park(this.#reader)) throw tooManyPortals();
  }

  async #ask(rowsMax: number): Promise<Extract<Answer, { kind: 'rows' | 'values' }>> {
    if (this.#stop.reason !== null) throw this.#stop.reason;
    try {
      if (this.#reader === null) {
        this.#reader = await this.#pool.acquire(this.#stop);
        this.#stop.onStop((reason) => this.#reader?.kill(reason));
        this.#reader.start(this.#catalog, this.#run);
      } else this.#stop.onStop((reason) => this.#reader?.kill(reason));
      const answer = await this.#reader.ask({ kind: 'more', rowsMax });
      if (answer.kind === 'error')
        throw new SqlError(answer.sqlstate, answer.message, answer.fields);
      if (answer.done) this.#finish();
      return answer;
    } catch (error) {
      this.#finish();
      throw error;
    } finally {
      this.#stop.onStop(() => {});
    }
  }

  #finish(): void {
    this.#ended = true;
    if (this.#reader !== null) this.#pool.release(this.#reader);
    this.#reader = null;
  }

  close(): void {
    this.#pool.heldBytes -= this.#ahead.bytes;
    this.#ahead.clear();
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const reader = this.#reader;
    this.#reader = null;
    if (reader === null) return;
    // Between two batches it drops its iterator and is free again. In the middle of one, it may take a
    // moment to end; what takes longer is killed.
    const free = () => {
      reader.tell({ kind: 'close' });
      this.#pool.release(reader);
    };
    if (this.#filling === null || this.#failure !== null) return free();
    const timer = setTimeout(() => reader.kill(), READER_CLOSE_MS_MAX);
    void this.#filling.then(() => {
      clearTimeout(timer);
      free();
    });
  }
}

function tooManyPortals(): SqlError {
  return new SqlError(SQLSTATE.insufficientResources, 'too many cursors with many rows are open', {
    hint: 'Close cursors that are not read to their end.',
  });
}
