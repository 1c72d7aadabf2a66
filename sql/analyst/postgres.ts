// One embedded Postgres, spoken to in its own protocol. Shell; lives in the analyst's worker thread.
//
// The only file that knows PGlite. Calls are synchronous: Postgres runs in this very thread.
//
// (1) Every call leaves the protocol in sync: errors are read to their end before they are thrown.
// (2) Nothing here starts or ends transactions; callers do.

import { PGlite } from '@electric-sql/pglite';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { SqlError } from '../../ledger/error.ts';
import type { SqlErrorFields } from '../../ledger/error.ts';

/** A result column as RowDescription gives it. */
export interface Field {
  readonly name: string;
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeOid: number;
  readonly typeSize: number;
  readonly typmod: number;
}

export interface Notice {
  readonly severity: string;
  readonly sqlstate: string;
  readonly message: string;
}

/** Rows of text values, of all statements of one call. */
export interface Answer {
  readonly rows: readonly (readonly (string | null)[])[];
  /** Command tag of the last statement. */
  readonly tag: string;
  readonly notices: readonly Notice[];
}

export interface Description {
  readonly parameterOids: readonly number[];
  /** null: returns no rows. */
  readonly fields: readonly Field[] | null;
}

export interface PortalAnswer {
  /** Finished DataRow messages, back to back. */
  readonly dataRows: Uint8Array;
  readonly count: number;
  readonly tag: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Postgres {
  readonly #database: PGlite;

  private constructor(database: PGlite) {
    this.#database = database;
  }

  /** Starts one: empty, or from an image made by `dump` whose database and first role have these names. */
  static async start(
    image: {
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly database: string;
      readonly admin: string;
    } | null,
  ): Promise<Postgres> {
    const database = await PGlite.create(
      image === null
        ? {}
        : {
            loadDataDir: new Blob([image.bytes]),
            database: image.database,
            username: image.admin,
          },
    );
    return new Postgres(database);
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  /** The whole data folder as a tar file. */
  async dump(): Promise<Uint8Array<ArrayBuffer>> {
    this.run('checkpoint');
    const file = await this.#database.dumpDataDir('none');
    return new Uint8Array(await file.arrayBuffer());
  }

  /**
   * Runs one or several statements by the simple protocol.
   *
   * @throws SqlError of the first statement that fails; the ones after it did not run
   */
  run(text: string): Answer {
    const messages = this.#exchange([simpleQuery(text)]);
    const rows: (string | null)[][] = [];
    const notices: Notice[] = [];
    let tag = '';
    for (const { type, body } of messages) {
      if (type === 'D') rows.push(readDataRow(body));
      else if (type === 'C') tag = readString(body, 0).text;
      else if (type === 'N') notices.push(readNotice(body));
    }
    return { rows, tag, notices };
  }

  /** Parses one statement with the parameter types given (0: infer) and describes it. */
  describe(text: string, parameterOids: readonly number[]): Description {
    const messages = this.#exchange([parse(text, parameterOids), DESCRIBE_STATEMENT, SYNC]);
    let oids: readonly number[] = [];
    let fields: readonly Field[] | null = null;
    for (const { type, body } of messages) {
      if (type === 't') oids = readOids(body);
      else if (type === 'T') fields = readFields(body);
    }
    return { parameterOids: oids, fields };
  }

  /** Runs one statement by the extended protocol; values and rows in the formats given. */
  execute(
    text: string,
    parameterOids: readonly number[],
    values: readonly (Uint8Array | null)[],
    formats: readonly number[],
    resultFormats: readonly number[],
  ): PortalAnswer {
    const messages = this.#exchange([
      parse(text, parameterOids),
      bind(values, formats, resultFormats),
      EXECUTE,
      SYNC,
    ]);
    const rows = messages.filter(({ type }) => type === 'D').map(({ whole }) => whole);
    const complete = messages.findLast(({ type }) => type === 'C');
    return {
      dataRows: concat(rows),
      count: rows.length,
      tag: complete === undefined ? '' : readString(complete.body, 0).text,
    };
  }

  #exchange(messages: readonly Uint8Array[]): Message[] {
    const answer = this.#database.execProtocolRawSync(concat(messages));
    const read = readMessages(answer);
    const error = read.find(({ type }) => type === 'E');
    if (error !== undefined) throw readError(error.body);
    return read;
  }
}

interface Message {
  readonly type: string;
  readonly body: Uint8Array;
  readonly whole: Uint8Array;
}

function readMessages(bytes: Uint8Array): Message[] {
  const view = viewOf(bytes);
  const messages: Message[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + view.getInt32(at + 1);
    messages.push({
      type: String.fromCharCode(view.getUint8(at)),
      body: bytes.subarray(at + 5, end),
      whole: bytes.subarray(at, end),
    });
    at = end;
  }
  return messages;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function message(type: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = concat(parts);
  const head = new Uint8Array(5);
  head[0] = type.charCodeAt(0);
  viewOf(head).setInt32(1, body.length + 4);
  return concat([head, body]);
}

function cString(text: string): Uint8Array {
  return encoder.encode(`${text}\0`);
}

function int16s(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(2 + 2 * values.length);
  const view = viewOf(bytes);
  view.setInt16(0, values.length);
  values.forEach((value, i) => view.setInt16(2 + 2 * i, value));
  return bytes;
}

function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setInt32(0, value);
  return bytes;
}

function simpleQuery(text: string): Uint8Array {
  return message('Q', cString(text));
}

function parse(text: string, parameterOids: readonly number[]): Uint8Array {
  const oids = new Uint8Array(2 + 4 * parameterOids.length);
  const view = viewOf(oids);
  view.setInt16(0, parameterOids.length);
  parameterOids.forEach((oid, i) => view.setUint32(2 + 4 * i, oid));
  return message('P', cString(''), cString(text), oids);
}

function bind(
  values: readonly (Uint8Array | null)[],
  formats: readonly number[],
  resultFormats: readonly number[],
): Uint8Array {
  const count = new Uint8Array(2);
  viewOf(count).setInt16(0, values.length);
  const parts = values.flatMap((value) =>
    value === null ? [int32(-1)] : [int32(value.length), value],
  );
  return message(
    'B',
    cString(''),
    cString(''),
    int16s(formats),
    count,
    concat(parts),
    int16s(resultFormats),
  );
}

const DESCRIBE_STATEMENT = message('D', encoder.encode('S'), cString(''));
const EXECUTE = message('E', cString(''), int32(0));
const SYNC = message('S');

function readString(body: Uint8Array, at: number): { readonly text: string; readonly end: number } {
  const end = body.indexOf(0, at);
  return { text: decoder.decode(body.subarray(at, end)), end: end + 1 };
}

function readDataRow(body: Uint8Array): (string | null)[] {
  const view = viewOf(body);
  const values: (string | null)[] = [];
  let at = 2;
  for (let i = view.getInt16(0); i > 0; i -= 1) {
    const length = view.getInt32(at);
    at += 4;
    values.push(length < 0 ? null : decoder.decode(body.subarray(at, at + length)));
    at += Math.max(length, 0);
  }
  return values;
}

function readOids(body: Uint8Array): number[] {
  const view = viewOf(body);
  return Array.from({ length: view.getUint16(0) }, (_, i) => view.getUint32(2 + 4 * i));
}

function readFields(body: Uint8Array): Field[] {
  const view = viewOf(body);
  const fields: Field[] = [];
  let at = 2;
  for (let i = view.getInt16(0); i > 0; i -= 1) {
    const { text: name, end } = readString(body, at);
    fields.push({
      name,
      tableOid: view.getUint32(end),
      columnNumber: view.getInt16(end + 4),
      typeOid: view.getUint32(end + 6),
      typeSize: view.getInt16(end + 10),
      typmod: view.getInt32(end + 12),
    });
    at = end + 18;
  }
  return fields;
}

function readFieldsOfError(body: Uint8Array): Map<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at < body.length && body[at] !== 0;) {
    const { text, end } = readString(body, at + 1);
    fields.set(String.fromCharCode(body[at] ?? 0), text);
    at = end;
  }
  return fields;
}

function readNotice(body: Uint8Array): Notice {
  const fields = readFieldsOfError(body);
  return {
    severity: fields.get('V') ?? 'NOTICE',
    sqlstate: fields.get('C') ?? SQLSTATE.warning,
    message: fields.get('M') ?? '',
  };
}

// prettier-ignore
const FIELD_NAMES = [
  ['D', 'detail'], ['H', 'hint'], ['s', 'schema'], ['t', 'table'], ['c', 'column'],
  ['d', 'dataType'], ['n', 'constraint'],
] as const;

function readError(body: Uint8Array): SqlError {
  const fields = readFieldsOfError(body);
  const known: Record<string, string | number> = {};
  for (const [letter, name] of FIELD_NAMES) {
    const value = fields.get(letter);
    if (value !== undefined) known[name] = value;
  }
  const position = fields.get('P');
  if (position !== undefined) known['position'] = Number(position);
  return new SqlError(
    fields.get('C') ?? SQLSTATE.internalError,
    fields.get('M') ?? '',
    known as SqlErrorFields,
  );
}
