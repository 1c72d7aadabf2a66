// COPY data to rows: chunks in, values out, with the line a fault lies in. Pure.
//
// (1) Bytes given to `push` are not looked at after it returns: what is left of them is copied.
// (2) A row is scanned again only when twice as many bytes of it have come, so a huge row costs no more than
//     twice its length.

import { utf8 } from '../../ledger/bytes.ts';
import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import type { ValueContext } from '../value/context.ts';
import { BinaryScanner } from './binary-scanner.ts';
import { CsvScanner } from './csv-scanner.ts';
import { binaryField, FieldTexts, textField } from './field.ts';
import type { FieldReader } from './field.ts';
import type { CopyOptions } from './options.ts';
import { END, INCOMPLETE } from './scanner.ts';
import type { RowScanner } from './scanner.ts';
import { TextScanner } from './text-scanner.ts';

export interface CopyColumn {
  readonly name: string;
  readonly type: SqlType;
  /** Where its value goes in a row. */
  readonly position: number;
}

/** Bytes of one row: what follows must fit into a chunk of the ledger. */
const ROW_BYTES_MAX = 32 * 1024 * 1024;
/** Bytes of a line or value that an error shows. PostgreSQL's MAX_COPY_DATA_DISPLAY. */
const SHOWN_BYTES_MAX = 100;

const decoder = new TextDecoder();

export class CopyReader {
  readonly #relation: string;
  readonly #columns: readonly CopyColumn[];
  readonly #options: CopyOptions;
  readonly #scanner: RowScanner;
  readonly #readers: readonly FieldReader[];
  readonly #texts = new FieldTexts();
  readonly #width: number;
  readonly #onRow: (values: Datum[], line: number) => void;
  #pieces: Uint8Array[] = [];
  #held = 0;
  /** Bytes to have before it is worth looking again. */
  #wanted = 0;
  #headerDue: boolean;
  #over = false;
  #line = 0;

  /**
   * @param relation  name, for the context of errors
   * @param width     values of a row; those of columns not copied are null
   * @param onRow     takes each row and the line it ends in; what it throws gets the row's context
   */
  constructor(
    relation: string,
    columns: readonly CopyColumn[],
    width: number,
    options: CopyOptions,
    context: ValueContext,
    onRow: (values: Datum[], line: number) => void,
  ) {
    this.#relation = relation;
    this.#columns = columns;
    this.#width = width;
    this.#options = options;
    this.#onRow = onRow;
    this.#headerDue = options.header !== false;
    this.#scanner = scannerOf(options, columns);
    this.#readers = columns.map(({ type }) =>
      options.format === 'binary' ? binaryField(type) : textField(type, context, this.#texts),
    );
  }

  /** Reads the rows that are complete with these bytes. @throws SqlError with its context */
  push(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#pieces.push(chunk);
    this.#held += chunk.length;
    if (this.#held < this.#wanted) this.#pieces[this.#pieces.length - 1] = chunk.slice();
    else this.#read(false);
  }

  /** Reads what is left: the data has ended. @throws SqlError with its context */
  finish(): void {
    if (!this.#over) this.#read(true);
  }

  #read(last: boolean): void {
    const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : joined(this.#pieces, this.#held);
    const end = bytes.length;
    let at = 0;
    this.#texts.begin(bytes);
    while (!this.#over) {
      const next = this.#row(bytes, at, end, last);
      if (next === INCOMPLETE) break;
      if (next === END) this.#over = true;
      else at = next;
    }
    const rest = this.#over ? new Uint8Array(0) : bytes.slice(at);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#held = rest.length;
    this.#wanted = rest.length * 2;
    if (rest.length > ROW_BYTES_MAX) {
      throw new SqlError(SQLSTATE.programLimitExceeded, 'row is too big', {
        detail: `A row of COPY data may have at most ${ROW_BYTES_MAX} bytes.`,
        where: `COPY ${this.#relation}, line ${this.#line + 1}`,
      });
    }
  }

  #row(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    const { fields } = this.#scanner;
    let next = INCOMPLETE;
    let column = -1;
    try {
      next = this.#scanner.scan(bytes, start, end, last);
      if (next < 0) return next;
      this.#line += 1 + fields.innerLines;
      if (fields.last) this.#over = true;
      if (this.#headerDue) {
        this.#headerDue = false;
        if (this.#options.header === 'match') this.#matchHeader();
        return next;
      }
      const count = this.#columns.length;
      if (fields.count > count && !(count === 0 && fields.lineEnd === start)) {
        throw malformed('extra data after last expected column');
      }
      const values = new Array<Datum>(this.#width);
      for (let i = 0; i < values.length; i += 1) values[i] = null;
      for (let i = 0; i < count; i += 1) {
        if (i >= fields.count)
          throw malformed(`missing data for column "${this.#columns[i]!.name}"`);
        const to = fields.ends[i]!;
        if (to === -1) continue;
        column = i;
        values[this.#columns[i]!.position] = this.#readers[i]!(
          fields.sources[i]!,
          fields.starts[i]!,
          to,
        );
        column = -1;
      }
      this.#onRow(values, this.#line);
      return next;
    } catch (error) {
      if (!isSqlError(error)) throw error;
      const where = this.#context(bytes, start, next === INCOMPLETE, column, error);
      throw new SqlError(error.sqlstate, error.message, { ...error.fields, where });
    }
  }

  /** HEADER MATCH: the first line must name the columns. */
  #matchHeader(): void {
    const { fields } = this.#scanner;
    if (fields.count !== this.#columns.length) {
      throw malformed(
        `wrong number of fields in header line: got ${fields.count}, expected ${this.#columns.length}`,
      );
    }
    this.#columns.forEach(({ name }, i) => {
      const end = fields.ends[i]!;
      const got =
        end === -1 ? null : decoder.decode(fields.sources[i]!.subarray(fields.starts[i]!, end));
      if (got === name) return;
      const what = got === null ? `null value ("${this.#options.nullText}")` : `"${got}"`;
      throw malformed(
        `column name mismatch in header line field ${i + 1}: got ${what}, expected "${name}"`,
      );
    });
  }

  /** Where an error happened, in Postgres' words. */
  #context(
    bytes: Uint8Array,
    start: number,
    unread: boolean,
    column: number,
    { sqlstate }: SqlError,
  ): string {
    const { sources, starts, ends, lineEnd } = this.#scanner.fields;
    const line = `COPY ${this.#relation}, line ${unread ? this.#line + 1 : this.#line}`;
    const at = column < 0 ? '' : `, column ${this.#columns[column]!.name}`;
    if (this.#options.format === 'binary') return line + at;
    // Postgres looks for what is no UTF-8 before it looks for fields.
    const encoding = sqlstate === SQLSTATE.characterNotInRepertoire && column >= 0;
    if (lineEnd < 0 || (encoding && sources[column] === bytes)) return line;
    if (column < 0 || encoding) return `${line}: "${shown(bytes, start, lineEnd)}"`;
    return `${line}${at}: "${shown(sources[column]!, starts[column]!, ends[column]!)}"`;
  }
}

function scannerOf(options: CopyOptions, columns: readonly CopyColumn[]): RowScanner {
  switch (options.format) {
    case 'text':
      return new TextScanner(options);
    case 'csv':
      return new CsvScanner(
        options,
        columns.map(({ name }) => name),
      );
    case 'binary':
      return new BinaryScanner(columns.length);
  }
}

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function shown(bytes: Uint8Array, start: number, end: number): string {
  const text = decoder.decode(bytes.subarray(start, Math.min(end, start + SHOWN_BYTES_MAX + 4)));
  if (end - start <= SHOWN_BYTES_MAX) return text;
  let cut = '';
  let size = 0;
  for (const character of text) {
    size += utf8(character).length;
    if (size > SHOWN_BYTES_MAX) break;
    cut += character;
  }
  return `${cut}...`;
}

function malformed(message: string): SqlError {
  return new SqlError(SQLSTATE.badCopyFileFormat, message);
}
