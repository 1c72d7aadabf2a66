// The analyst: Postgres' own parser and catalogs, asked from the main thread. Shell.
//
// The work is done by a worker thread (worker.ts) that holds a mirror of the ledger's schema.
//
// (1) Calls are answered in order, one at a time.
// (2) The worker's death is repaired: a new one is started, the chain's DDL is loaded again, and calls that
//     were waiting are made again. All but the call that killed it succeed.
// (3) It is a cache, never a record: nothing here is needed to apply or to verify.

import { Worker } from 'node:worker_threads';
import type { Catalog } from '../../ledger/catalog.ts';
import { EMPTY_CATALOG, ID } from '../../ledger/catalog.ts';
import { AssertionError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { sqlType } from '../../ledger/type.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import type { Analysis, AnalysisContext, DdlAnalysis, DdlRecord } from '../analysis.ts';
import type { CallName, Calls, Request, Response, WorkerSettings } from './calls.ts';
import type { ImageOptions } from './image.ts';
import type { CatalogAnswer, ColumnDefault, OidTable } from './mirror.ts';
import { builtinTypeOid, tryBuiltinType } from './type-oid.ts';

/** A call that analyses: Postgres needs milliseconds; longer than this and it is stuck. */
const ANALYSIS_TIMEOUT_MS = 30_000;
/** Replaying the chain's DDL: some milliseconds a statement. */
const LOAD_TIMEOUT_MS = 600_000;
/** How often a call is made again because another one killed the worker. */
const ATTEMPTS_MAX = 4;

interface Waiting {
  readonly name: CallName;
  readonly args: readonly unknown[];
  readonly timeoutMs: number;
  attempts: number;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** A catalog query under way. */
export interface CatalogCall {
  readonly answer: Promise<CatalogAnswer>;
  /** Ends it with this error; nothing happens when it has ended. */
  cancel(reason: SqlError): void;
}

export interface AnalystOptions {
  /** What current_database() says. */
  readonly database: string;
  /** Where images of the mirror are kept; without, every start takes seconds. */
  readonly images?: ImageOptions;
}

export class Analyst {
  readonly #options: AnalystOptions;
  #worker: Worker | null = null;
  #ready = false;
  #closed = false;
  /** Why no worker can be had any more; `load` tries again. */
  #broken: Error | null = null;
  /** Workers that died one after the other before they were ready. */
  #deaths = 0;
  readonly #queue: Waiting[] = [];
  #running: Waiting | null = null;
  #deadline: NodeJS.Timeout | null = null;
  #loaded: { catalog: Catalog; records: DdlRecord[]; stateShards: number } = {
    catalog: EMPTY_CATALOG,
    records: [],
    stateShards: 1,
  };
  #oids: OidTable = { catalogVersion: 0, relations: [], types: [] };
  #relationByOid = new Map<number, number>();
  #oidByRelation = new Map<number, number>();
  #nextId = 1;

  private constructor(options: AnalystOptions) {
    this.#options = options;
  }

  /** An analyst of nothing yet: `load` gives it a ledger. */
  static start(options: AnalystOptions): Promise<Analyst> {
    return Promise.resolve(new Analyst(options));
  }

  /**
   * Builds the mirror from the chain's DDL, oldest first.
   *
   * @param catalog      what it led to
   * @param stateShards  how many the ledger has
   */
  async load(catalog: Catalog, ddl: readonly DdlRecord[], stateShards: number): Promise<void> {
    this.#loaded = { catalog, records: [...ddl], stateShards };
    this.#broken = null;
    this.#deaths = 0;
    // What a worker has replayed cannot be taken back: a fresh one loads it.
    this.#restart();
    await this.#call('typeOids', [[], contextOfRole(catalog)], LOAD_TIMEOUT_MS);
  }

  /**
   * Resolves a SELECT, INSERT, UPDATE, DELETE or VALUES.
   *
   * @param parameterOids  types the client has given; 0 or absent: inferred
   * @throws SqlError as Postgres gives it, `position` relative to `text`
   */
  analyse(
    text: string,
    parameterOids: readonly number[],
    context: AnalysisContext,
  ): Promise<Analysis> {
    return this.#call('analyse', [text, parameterOids, context], ANALYSIS_TIMEOUT_MS);
  }

  /** Resolved DEFAULT expressions of a table, its domains' included; generated columns have none. */
  defaults(relation: number, context: AnalysisContext): Promise<readonly ColumnDefault[]> {
    return this.#call('defaults', [relation, context], ANALYSIS_TIMEOUT_MS);
  }

  /** Checks DDL on top of `context.pendingDdl` and says what it would change. Nothing stays. */
  analyseDdl(text: string, context: AnalysisContext): Promise<DdlAnalysis> {
    return this.#call('analyseDdl', [text, context], ANALYSIS_TIMEOUT_MS);
  }

  /** Follows catalog operations of the chain, oldest first; `catalog` is the catalog after all of them. */
  async applyDdl(records: readonly DdlRecord[], catalog: Catalog): Promise<void> {
    this.#learn(await this.#call('applyDdl', [records, catalog], ANALYSIS_TIMEOUT_MS));
  }

  /** Ledger id of a table, view or sequence by name; `schema` undefined: by search_path. Throws 42P01. */
  relationId(schema: string | undefined, name: string, context: AnalysisContext): Promise<number> {
    return this.#call('relationId', [schema, name, context], ANALYSIS_TIMEOUT_MS);
  }

  /** OIDs of types by the texts of their names, as in PREPARE. Throws 42704. */
  typeOids(texts: readonly string[], context: AnalysisContext): Promise<readonly number[]> {
    return this.#call('typeOids', [texts, context], ANALYSIS_TIMEOUT_MS);
  }

  /** Values of a list of expressions without tables, each as the type given: the arguments of EXECUTE. */
  evaluate(
    list: string,
    typeOids: readonly number[],
    context: AnalysisContext,
  ): Promise<readonly Datum[]> {
    return this.#call('evaluate', [list, typeOids, context], ANALYSIS_TIMEOUT_MS);
  }

  /**
   * Answers a catalog-only SELECT, read only and always rolled back.
   *
   * @param deadlineMs  0: none; after it the call ends with 57014
   */
  catalogQuery(
    text: string,
    parameterOids: readonly number[],
    values: readonly (Uint8Array | null)[],
    formats: readonly number[],
    resultFormats: readonly number[],
    context: AnalysisContext,
    deadlineMs: number,
  ): CatalogCall {
    const args = [text, parameterOids, values, formats, resultFormats, context] as const;
    const { promise, resolve, reject } = Promise.withResolvers<CatalogAnswer>();
    const call = waiting('catalogQuery', args, deadlineMs, resolve, reject);
    this.#enqueue(call);
    return { answer: promise, cancel: (reason) => this.#end(call, reason) };
  }

  // ---- OIDs ----

  /** OID of a relation, or 0. */
  oidOfRelation(id: number): number {
    return this.#oidByRelation.get(id) ?? 0;
  }

  /** Ledger id of a relation (negative for ledger views), or 0. */
  relationOfOid(oid: number): number {
    return this.#relationByOid.get(oid) ?? 0;
  }

  oidOfType(type: SqlType): number {
    if (type.userType === null) return builtinTypeOid(type);
    const found = this.#oids.types.find(([, , id]) => id === type.userType);
    return found?.[type.array ? 1 : 0] ?? builtinTypeOid(type);
  }

  /** The type, or undefined when the ledger has none with that OID. */
  typeOfOid(oid: number, typmod = -1): SqlType | undefined {
    const builtin = tryBuiltinType(oid, typmod);
    if (builtin !== undefined) return builtin;
    const found = this.#oids.types.find(([scalar, array]) => scalar === oid || array === oid);
    const type = found === undefined ? undefined : this.#loaded.catalog.types.get(found[2]);
    if (found === undefined || type === undefined) return undefined;
    const array = found[1] === oid;
    if (type.kind === 'enum') return sqlType('enum', -1, array, type.id);
    return { ...type.type, array: array || type.type.array, userType: type.id };
  }

  /** Stops the worker; calls that wait end with 57P01. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new SqlError(SQLSTATE.adminShutdown, 'the node is shutting down');
    const waiting = [...(this.#running === null ? [] : [this.#running]), ...this.#queue.splice(0)];
    this.#running = null;
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    const worker = this.#worker;
    this.#worker = null;
    for (const { reject } of waiting) reject(error);
    await worker?.terminate();
  }

  // ---- the worker ----

  #call<N extends CallName>(
    name: N,
    args: Calls[N]['arguments'],
    timeoutMs: number,
  ): Promise<Calls[N]['result']> {
    return new Promise((resolve, reject) => {
      this.#enqueue(waiting(name, args, timeoutMs, resolve, reject));
    });
  }

  #enqueue(call: Waiting): void {
    if (this.#broken !== null) {
      call.reject(this.#broken);
      return;
    }
    this.#queue.push(call);
    this.#next();
  }

  #start(): void {
    if (this.#worker !== null || this.#closed) return;
    const { database, images } = this.#options;
    const workerData: WorkerSettings = {
      database,
      images: images === undefined ? null : { directory: images.directory, key: images.key },
    };
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData });
    this.#worker = worker;
    worker.on('message', (response: Response) => {
      if (worker === this.#worker) this.#receive(response);
    });
    worker.on('error', (error) => {
      if (worker === this.#worker) this.#died(error);
    });
    worker.on('exit', () => {
      if (worker === this.#worker) this.#died(new Error('the analyst has stopped'));
    });
  }

  #receive(response: Response): void {
    if ('imageFault' in response) {
      this.#options.images?.onFault(response.imageFault, response.file);
      return;
    }
    if (response.id === 0) {
      const { catalog, records, stateShards } = this.#loaded;
      this.#post(LOAD_ID, 'load', [catalog, records, stateShards]);
      return;
    }
    if (response.id === LOAD_ID) {
      if (!('result' in response)) {
        this.#fail(failure(response));
        return;
      }
      this.#learn(response.result as OidTable);
      this.#ready = true;
      this.#deaths = 0;
      this.#next();
      return;
    }
    const call = this.#running;
    if (call === null) throw new AssertionError('analyst: answer without a question');
    this.#settle();
    if ('result' in response) {
      if (call.name === 'applyDdl') this.#followed(call);
      call.resolve(response.result as never);
    } else if ('sqlError' in response) {
      const { sqlstate, message, fields } = response.sqlError;
      call.reject(new SqlError(sqlstate, message, fields));
    } else {
      call.reject(failure(response));
      this.#restart();
    }
    this.#next();
  }

  /** The chain's DDL cannot be replayed, or no worker lives: nothing can be analysed. */
  #fail(error: Error): void {
    this.#broken = error;
    for (const { reject } of this.#queue.splice(0)) reject(error);
  }

  #followed(call: Waiting): void {
    const [records, catalog] = call.args as Calls['applyDdl']['arguments'];
    this.#loaded.records.push(...records);
    this.#loaded.catalog = catalog;
  }

  #learn(oids: OidTable): void {
    this.#oids = oids;
    this.#relationByOid = new Map(oids.relations);
    this.#oidByRelation = new Map(oids.relations.map(([oid, id]) => [id, oid]));
  }

  #next(): void {
    if (!this.#ready || this.#running !== null) return;
    const call = this.#queue.shift();
    if (call === undefined) return;
    this.#running = call;
    call.attempts += 1;
    if (call.timeoutMs > 0) {
      this.#deadline = setTimeout(() => this.#overrun(call), call.timeoutMs);
    }
    this.#post(this.#nextId + 1, call.name, call.args);
    this.#nextId += 1;
  }

  #post(id: number, name: CallName, args: readonly unknown[]): void {
    this.#worker?.postMessage({ id, name, arguments: args } as Request);
  }

  #settle(): void {
    this.#running = null;
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = null;
  }

  #overrun(call: Waiting): void {
    const message = 'canceling statement due to statement timeout';
    this.#end(call, new SqlError(SQLSTATE.queryCanceled, message));
  }

  /** Ends a call from outside: Postgres in there cannot be interrupted, so its thread is. */
  #end(call: Waiting, error: SqlError): void {
    const place = this.#queue.indexOf(call);
    if (place >= 0) this.#queue.splice(place, 1);
    else if (call !== this.#running) return;
    else {
      this.#settle();
      this.#restart();
    }
    call.reject(error);
  }

  #died(error: Error): void {
    const call = this.#running;
    this.#settle();
    this.#worker = null;
    this.#ready = false;
    if (call !== null && call.attempts < ATTEMPTS_MAX) this.#queue.unshift(call);
    else call?.reject(error);
    this.#deaths += 1;
    if (this.#deaths < ATTEMPTS_MAX) this.#start();
    else this.#fail(error);
  }

  /** Ends the worker and starts another; a call that runs is made again. */
  #restart(): void {
    const worker = this.#worker;
    if (this.#running !== null) this.#queue.unshift(this.#running);
    this.#settle();
    this.#worker = null;
    this.#ready = false;
    void worker?.terminate();
    this.#start();
  }
}

const LOAD_ID = 1;

function waiting(
  name: CallName,
  args: readonly unknown[],
  timeoutMs: number,
  resolve: (result: never) => void,
  reject: (error: Error) => void,
): Waiting {
  return { name, args, timeoutMs, attempts: 0, resolve, reject };
}

function failure(response: Response): Error {
  if ('sqlError' in response) {
    const { sqlstate, message } = response.sqlError;
    return new AssertionError(`analyst: ${sqlstate} ${message}`);
  }
  return new AssertionError(
    `analyst: ${'failure' in response ? response.failure : 'unexpected answer'}`,
  );
}

function contextOfRole(catalog: Catalog): AnalysisContext {
  const role = catalog.roles.get(ID.adminRole)?.name ?? 'postgres';
  return { role, sessionRole: role, searchPath: '', pendingDdl: [], settings: new Map() };
}
