// A node of its own kind for tests of the wire: a whole Backend whose sessions speak a toy language.
//
// Statements: `echo a b` one row of texts · `rows 10 [bytes]` · `params` the bound values · `notice text` ·
// `error 23505 text` · `crash` · `begin` `commit` `rollback` · `sleep` until cancelled · `set name value` ·
// `copy in` `copy out 10` · `later text` an echo that answers in a promise · `affect 3` · `conflict` an error
// that comes at Sync. Several by `;`.

import { deriveVerifier } from '../../identity/password.ts';
import { SqlError } from '../../ledger/error.ts';
import type {
  Backend,
  ColumnDescription,
  ResultSink,
  ScramVerifier,
  Session,
  SessionEvents,
  StartupParameters,
  StatementDescription,
  TransactionStatus,
} from '../../server/pgwire/backend.ts';

export function verifierOf(password: string): ScramVerifier {
  return deriveVerifier(password, Buffer.from('0123456789abcdef'), 4096);
}

/** One DataRow. */
export function dataRow(values: readonly (Uint8Array | string | null)[]): Buffer {
  const parts: Buffer[] = [];
  for (const value of values) {
    const length = Buffer.alloc(4);
    const bytes = value === null ? Buffer.alloc(0) : Buffer.from(value as string);
    length.writeInt32BE(value === null ? -1 : bytes.length);
    parts.push(length, bytes);
  }
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(7);
  head.write('D');
  head.writeInt32BE(body.length + 6, 1);
  head.writeInt16BE(values.length, 5);
  return Buffer.concat([head, body]);
}

function column(name: string): ColumnDescription {
  return { name, tableOid: 0, columnNumber: 0, typeOid: 25, typeSize: -1, typmod: -1 };
}

interface Statement {
  readonly text: string;
  readonly parameterOids: readonly number[];
}

interface Portal {
  readonly text: string;
  readonly values: readonly (Uint8Array | null)[];
  readonly formats: readonly number[];
  /** Rows already sent. */
  sent: number;
}

export class FakeSession implements Session {
  status: TransactionStatus = 'I';
  readonly processId: number;
  readonly secretKey = 0x5eed;
  closed = false;
  cancelled = 0;
  readonly calls: string[] = [];
  readonly received: Buffer[] = [];
  readonly startup: StartupParameters;
  readonly events: SessionEvents;
  readonly #statements = new Map<string, Statement>();
  readonly #portals = new Map<string, Portal>();
  #changed: (readonly [string, string])[] = [
    ['server_version', '15.18'],
    ['client_encoding', 'UTF8'],
    ['DateStyle', 'ISO, MDY'],
    ['standard_conforming_strings', 'on'],
  ];
  #conflict = false;
  #wakeSleeper: ((error: SqlError) => void) | undefined;

  constructor(processId: number, startup: StartupParameters, events: SessionEvents) {
    this.processId = processId;
    this.startup = startup;
    this.events = events;
  }

  takeChangedParameters(): readonly (readonly [string, string])[] {
    const changed = this.#changed;
    this.#changed = [];
    return changed;
  }

  parse(name: string, text: string, parameterOids: readonly number[]): void {
    this.calls.push(`parse ${name}`);
    if (text.startsWith('bad')) throw new SqlError('42601', 'syntax error at or near "bad"');
    this.#statements.set(name, { text, parameterOids });
  }

  bind(
    portal: string,
    statement: string,
    values: readonly (Uint8Array | null)[],
    _formats: readonly number[],
    formats: readonly number[],
  ): void {
    this.calls.push(`bind ${portal}`);
    const found = this.#statements.get(statement);
    if (found === undefined) {
      throw new SqlError('26000', `prepared statement "${statement}" does not exist`);
    }
    this.#portals.set(portal, { text: found.text, values, formats, sent: 0 });
  }

  describeStatement(name: string): StatementDescription {
    const { text, parameterOids } = this.#statements.get(name)!;
    return { parameterOids, columns: this.#columns(text) };
  }

  describePortal(
    name: string,
  ): { columns: readonly ColumnDescription[]; formats: readonly number[] } | null {
    const portal = this.#portals.get(name)!;
    const columns = this.#columns(portal.text);
    return columns && { columns, formats: portal.formats };
  }

  execute(
    name: string,
    rowsMax: number,
    sink: ResultSink,
  ): 'complete' | 'suspended' | Promise<'complete'> {
    this.calls.push(`execute ${name} ${rowsMax}`);
    const portal = this.#portals.get(name);
    if (portal === undefined) throw new SqlError('34000', `portal "${name}" does not exist`);
    if (rowsMax > 0 && portal.text.startsWith('rows ')) return this.#fetch(portal, rowsMax, sink);
    const work = this.#run(portal.text, sink, portal.values);
    return work === undefined ? 'complete' : work.then(() => 'complete');
  }

  #fetch(portal: Portal, rowsMax: number, sink: ResultSink): 'complete' | 'suspended' {
    const total = Number(portal.text.split(' ')[1]);
    const count = Math.min(rowsMax, total - portal.sent);
    for (let i = 0; i < count; i++) sink.rows(dataRow([String(portal.sent++)]));
    if (count === rowsMax) return 'suspended';
    sink.commandComplete(`SELECT ${count}`);
    return 'complete';
  }

  closeStatement(name: string): void {
    this.#statements.delete(name);
  }

  closePortal(name: string): void {
    this.#portals.delete(name);
  }

  flush(): void {
    this.calls.push('flush');
  }

  sync(failed: boolean): Promise<void> | undefined {
    this.calls.push(`sync ${failed}`);
    if (failed && this.status === 'T') this.status = 'E';
    if (!this.#conflict) return undefined;
    this.#conflict = false;
    return Promise.reject(new SqlError('40001', 'could not serialize access'));
  }

  async query(text: string, sink: ResultSink): Promise<void> {
    this.calls.push(`query ${text}`);
    const statements = text.split(';').map((statement) => statement.trim());
    if (statements.every((statement) => statement === '')) sink.emptyQuery();
    try {
      for (const statement of statements) {
        if (statement === '') continue;
        const columns = this.#columns(statement);
        if (columns) sink.columns(columns, []);
        await this.#run(statement, sink, []);
      }
    } catch (error) {
      if (this.status === 'T') this.status = 'E';
      throw error;
    }
  }

  cancel(): void {
    this.cancelled++;
    this.#wakeSleeper?.(new SqlError('57014', 'canceling statement due to user request'));
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  #columns(text: string): ColumnDescription[] | null {
    const [verb, ...words] = text.split(' ');
    if (verb === 'echo' || verb === 'later') return words.map((_, index) => column(`c${index}`));
    if (verb === 'rows') return [column('n')];
    if (verb === 'params') return [column('a'), column('b')];
    return null;
  }

  #run(
    text: string,
    sink: ResultSink,
    values: readonly (Uint8Array | null)[],
  ): Promise<void> | undefined {
    const [verb, ...words] = text.split(' ');
    if (this.status === 'E' && verb !== 'rollback') {
      const message =
        'current transaction is aborted, commands ignored until end of transaction block';
      throw new SqlError('25P02', message);
    }
    switch (verb) {
      case 'echo':
        sink.rows(dataRow(words));
        sink.commandComplete('SELECT 1');
        return undefined;
      case 'later':
        return Promise.resolve().then(() => {
          sink.rows(dataRow(words));
          sink.commandComplete('SELECT 1');
        });
      case 'params':
        sink.rows(dataRow(values));
        sink.commandComplete('SELECT 1');
        return undefined;
      case 'rows':
        return this.#rows(Number(words[0]), Number(words[1] ?? 1), sink);
      case 'notice':
        sink.notice('NOTICE', new SqlError('00000', words.join(' '), { hint: 'Only a hint.' }));
        sink.commandComplete('DO');
        return undefined;
      case 'error':
        throw new SqlError(words[0]!, words.slice(1).join(' '), {
          detail: 'Key (id)=(1) already exists.',
          hint: 'Take another.',
          position: 3,
          where: 'here',
          schema: 'public',
          table: 't',
          column: 'id',
          dataType: 'int4',
          constraint: 't_pkey',
        });
      case 'crash':
        throw new TypeError('secret of the house');
      case 'begin':
      case 'commit':
      case 'rollback':
        this.status = verb === 'begin' ? 'T' : 'I';
        sink.commandComplete(verb.toUpperCase());
        return undefined;
      case 'sleep':
        return new Promise<void>((_, reject) => {
          this.#wakeSleeper = reject;
        });
      case 'set':
        this.#changed.push([words[0]!, words[1]!]);
        sink.commandComplete('SET');
        return undefined;
      case 'conflict':
        this.#conflict = true;
        sink.commandComplete('UPDATE 1');
        return undefined;
      case 'copy':
        return words[0] === 'in' ? this.#copyIn(sink) : this.#copyOut(Number(words[1]), sink);
      case 'affect':
        sink.commandComplete(`UPDATE ${words[0]}`);
        return undefined;
      default:
        throw new SqlError('42601', `syntax error at or near "${verb}"`);
    }
  }

  async #rows(count: number, bytes: number, sink: ResultSink): Promise<void> {
    const filler = 'x'.repeat(bytes - 1);
    for (let i = 0; i < count; i++) {
      if (!sink.rows(dataRow([bytes > 1 ? filler : String(i)]))) await sink.drained();
    }
    sink.commandComplete(`SELECT ${count}`);
  }

  async #copyIn(sink: ResultSink): Promise<void> {
    this.received.length = 0;
    for await (const data of sink.copyIn(0, [0])) this.received.push(Buffer.from(data));
    const lines = Buffer.concat(this.received).toString().split('\n').length - 1;
    sink.commandComplete(`COPY ${lines}`);
  }

  async #copyOut(count: number, sink: ResultSink): Promise<void> {
    sink.copyOut(0, [0]);
    for (let i = 0; i < count; i++) {
      if (!sink.copyData(Buffer.from(`${i}\n`))) await sink.drained();
    }
    sink.copyDone();
    sink.commandComplete(`COPY ${count}`);
  }
}

/** Role `alice` with the password `secret`, and any database but `none`. */
export class FakeBackend implements Backend {
  readonly sessions: FakeSession[] = [];
  readonly #verifier = verifierOf('secret');

  verifier(user: string): ScramVerifier | undefined {
    return user === 'alice' ? this.#verifier : undefined;
  }

  open(startup: StartupParameters, events: SessionEvents): Session {
    if (startup.database === 'none') {
      throw new SqlError('3D000', 'database "none" does not exist');
    }
    const session = new FakeSession(this.sessions.length + 1, startup, events);
    this.sessions.push(session);
    return session;
  }

  cancel(processId: number, secretKey: number): void {
    const session = this.sessions[processId - 1];
    if (session?.secretKey === secretKey) session.cancel();
  }
}
