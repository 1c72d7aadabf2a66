// One connection of a golden file, and how its answers are printed. Shell: the only user of `pg` here.
//
// Statements go over the wire as the file asks, simple or extended, with every value in text format, and
// what comes back is printed message by message, so that nothing a driver would hide is lost:
//
//     NOTICE 00000: table "t" does not exist, skipping
//     id:int4|name:text            row description
//     1|∅                          data rows; ∅ is NULL, '' the empty string
//     SELECT 1                     command tag
//     ERROR 23505: duplicate key … and its fields, one a line
//
// A statement that fails may have sent its row description and some rows before: that is not printed,
// since it depends on how far a server had got.

import pg from 'pg';
import type { Protocol } from './walk.ts';

/** What to run: text, its COPY data if it copies in, its parameters if it has any. */
export interface Request {
  readonly sql: string;
  readonly copyData: readonly string[];
  readonly parameters: readonly (string | null)[] | undefined;
  readonly protocol: Protocol;
  readonly sort: boolean;
  readonly hide: boolean;
}

interface Message {
  readonly [field: string]: unknown;
}

interface Column {
  readonly name: string;
  readonly dataTypeID: number;
}

/** What pg's connection offers to those who speak the protocol themselves. */
interface Wire {
  query(text: string): void;
  parse(statement: { text: string }, more?: boolean): void;
  bind(portal: { values: readonly (string | null)[] }, more?: boolean): void;
  describe(what: { type: 'S' | 'P' }, more?: boolean): void;
  execute(portal: object, more?: boolean): void;
  sync(): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  on(event: string, listener: (message: Message) => void): void;
  off(event: string, listener: (message: Message) => void): void;
}

/** A statement is given this long, in ms; then its answer is TIMEOUT and the connection is given up. */
const STATEMENT_TIMEOUT_MS = 20_000;

/** One open connection. Statements run one after another; notices belong to the statement that runs. */
export class GoldenSession {
  readonly #client: pg.Client;
  #notices: string[] = [];
  #lost: string | undefined;

  private constructor(client: pg.Client) {
    this.#client = client;
    client.on('error', (error) => (this.#lost ??= error.message));
    client.on('notice', (notice) => this.#notices.push(...printNotice(notice)));
  }

  /** @param url  postgresql://user:password@host:port/database */
  static async connect(url: string): Promise<GoldenSession> {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
    const session = new GoldenSession(client);
    await client.connect();
    return session;
  }

  /** Runs one request and returns its answer, line by line. Never rejects: a lost connection is an answer. */
  async run(request: Request): Promise<string[]> {
    if (this.#lost !== undefined) return [`CONNECTION LOST: ${this.#lost}`];
    const answer: string[] = [];
    this.#notices = answer;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#lost = 'a statement did not end in time';
        answer.push('TIMEOUT');
        finish();
      }, STATEMENT_TIMEOUT_MS);
      const lost = (error: Error): void => {
        answer.push(`CONNECTION LOST: ${error.message}`);
        finish();
      };
      const finish = (): void => {
        clearTimeout(timer);
        this.#client.off('error', lost);
        resolve(answer.map((line) => line.trimEnd()));
      };
      this.#client.on('error', lost);
      this.#client.query(new Exchange(request, answer, finish) as unknown as pg.Submittable);
    });
  }

  async close(): Promise<void> {
    if (this.#lost !== undefined) (this.#client as unknown as { end(): void }).end();
    else await this.#client.end();
  }
}

/** One request on the wire: pg calls it with each message that comes back. */
class Exchange {
  readonly #request: Request;
  readonly #answer: string[];
  readonly #finish: () => void;
  #columns: string[] = [];
  #rows: string[] = [];
  #wire: Wire | undefined;

  constructor(request: Request, answer: string[], finish: () => void) {
    this.#request = request;
    this.#answer = answer;
    this.#finish = finish;
  }

  submit(wire: Wire): void {
    this.#wire = wire;
    wire.on('parameterDescription', this.#parameters);
    const { sql, parameters, protocol } = this.#request;
    if (parameters === undefined && protocol === 'simple') return wire.query(sql);
    wire.parse({ text: sql }, true);
    if (parameters !== undefined) wire.describe({ type: 'S' }, true);
    wire.bind({ values: parameters ?? [] }, true);
    if (parameters === undefined) wire.describe({ type: 'P' }, true);
    wire.execute({}, true);
    wire.sync();
  }

  readonly #parameters = (message: Message): void => {
    const types = message['dataTypeIDs'] as readonly number[];
    this.#answer.push(`parameters: ${types.map(typeName).join(', ')}`.trimEnd());
  };

  handleRowDescription(message: Message): void {
    const columns = message['fields'] as readonly Column[];
    const heads = columns.map((column) => `${column.name}:${typeName(column.dataTypeID)}`);
    this.#columns = [heads.length === 0 ? '(no columns)' : heads.join('|')];
  }

  handleDataRow(message: Message): void {
    const values = message['fields'] as readonly (string | null)[];
    this.#rows.push(values.length === 0 ? '(no columns)' : values.map(printValue).join('|'));
  }

  handleCommandComplete(message: Message): void {
    this.#flushRows();
    this.#answer.push(message['text'] as string);
  }

  handleEmptyQuery(): void {
    this.#answer.push('(empty query)');
  }

  handlePortalSuspended(): void {
    this.#flushRows();
    this.#answer.push('(portal suspended)');
  }

  handleCopyInResponse(wire: Wire): void {
    for (const line of this.#request.copyData) wire.sendCopyFromChunk(Buffer.from(`${line}\n`));
    wire.endCopyFrom();
    if (this.#request.protocol === 'extended') wire.sync();
  }

  handleCopyData(message: Message): void {
    const text = new TextDecoder().decode(message['chunk'] as Uint8Array);
    this.#rows.push(text.endsWith('\n') ? text.slice(0, -1) : text);
  }

  handleError(error: Message): void {
    this.#answer.push(...printError(error));
    this.#end();
  }

  handleReadyForQuery(): void {
    this.#end();
  }

  #flushRows(): void {
    if (this.#request.sort) this.#rows.sort();
    this.#answer.push(...this.#columns, ...(this.#request.hide ? [] : this.#rows));
    this.#columns = [];
    this.#rows = [];
  }

  #end(): void {
    this.#wire?.off('parameterDescription', this.#parameters);
    this.#finish();
  }
}

function printValue(value: string | null): string {
  if (value === null) return '∅';
  if (value === '') return "''";
  return value.replaceAll('\r', '\\r').replaceAll('\n', '\\n');
}

function printNotice(notice: object): string[] {
  const { severity, code, message } = notice as Record<string, string>;
  return [`${severity} ${code}: ${message?.replaceAll('\n', '\\n')}`];
}

/** The fields of an error a client can see and a program may rely on; CONTEXT only where COPY puts the line. */
function printError(error: Message): string[] {
  if (error['code'] === undefined) return [`CONNECTION LOST: ${String(error['message'])}`];
  const lines = [`${error['severity']} ${error['code']}: ${error['message']}`];
  for (const [field, label] of ERROR_FIELDS) {
    const value = error[field] as string | undefined;
    if (value === undefined) continue;
    if (field === 'where' && !value.startsWith('COPY')) continue;
    // Which of a server's temporary schemas it is differs from run to run.
    lines.push(`  ${label}: ${value.replace(/^pg_temp_\d+$/, 'pg_temp')}`);
  }
  return lines.map((line) => line.replaceAll('\n', '\\n'));
}

const ERROR_FIELDS = [
  ['detail', 'DETAIL'],
  ['hint', 'HINT'],
  ['position', 'POSITION'],
  ['where', 'CONTEXT'],
  ['schema', 'SCHEMA'],
  ['table', 'TABLE'],
  ['column', 'COLUMN'],
  ['dataType', 'TYPE'],
  ['constraint', 'CONSTRAINT'],
] as const;

/** The name of a built-in type by its OID; a type that a file made itself prints as "user". */
export function typeName(oid: number): string {
  return TYPE_NAMES.get(oid) ?? (oid >= 16384 ? 'user' : `oid ${oid}`);
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  (
    '16 bool,17 bytea,18 "char",19 name,20 int8,21 int2,22 int2vector,23 int4,24 regproc,25 text,26 oid,' +
    '27 tid,28 xid,29 cid,30 oidvector,114 json,142 xml,194 pg_node_tree,199 json[],600 point,650 cidr,' +
    '651 cidr[],700 float4,701 float8,705 unknown,790 money,829 macaddr,869 inet,1000 bool[],' +
    '1001 bytea[],1002 "char"[],1003 name[],1005 int2[],1006 int2vector[],1007 int4[],1009 text[],' +
    '1014 bpchar[],1015 varchar[],1016 int8[],1021 float4[],1022 float8[],1028 oid[],1033 aclitem,' +
    '1034 aclitem[],1041 inet[],1042 bpchar,1043 varchar,1082 date,1083 time,1114 timestamp,' +
    '1115 timestamp[],1182 date[],1183 time[],1184 timestamptz,1185 timestamptz[],1186 interval,' +
    '1187 interval[],1231 numeric[],1266 timetz,1270 timetz[],1560 bit,1561 bit[],1562 varbit,' +
    '1563 varbit[],1700 numeric,1790 refcursor,2202 regprocedure,2203 regoper,2204 regoperator,' +
    '2205 regclass,2206 regtype,2249 record,2275 cstring,2276 any,2277 anyarray,2278 void,2287 record[],' +
    '2950 uuid,2951 uuid[],3220 pg_lsn,3614 tsvector,3615 tsquery,3734 regconfig,3802 jsonb,3807 jsonb[],' +
    '3904 int4range,3906 numrange,3908 tsrange,3910 tstzrange,3912 daterange,3926 int8range,' +
    '4072 jsonpath,4089 regnamespace,4096 regrole'
  )
    .split(',')
    .map((entry) => {
      const [, oid, name] = /^(\d+) (.*)$/.exec(entry) as unknown as [string, string, string];
      return [Number(oid), name];
    }),
);
