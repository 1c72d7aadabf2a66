// COPY options and readers for the tests. The answers in them are those of PostgreSQL 15.

import { utf8 } from '../../../../ledger/bytes.ts';
import { isSqlError } from '../../../../ledger/error.ts';
import type { Datum, SqlType } from '../../../../ledger/type.ts';
import { sqlType } from '../../../../ledger/type.ts';
import { copyOptions } from '../../../../sql/copy/options.ts';
import type { CopyOptions } from '../../../../sql/copy/options.ts';
import { CopyReader } from '../../../../sql/copy/row-reader.ts';
import { parseStatements } from '../../../../sql/parse.ts';
import { DEFAULT_CONTEXT } from '../../../../sql/value/context.ts';

/** The options of `COPY t FROM STDIN …`. */
export function optionsOf(words: string, way = 'from stdin'): CopyOptions {
  return copyOptions(parseStatements(`copy t ${way} ${words}`)[0]!);
}

/** Whatever is thrown, as `SQLSTATE message [context]`. */
export function faultOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (!isSqlError(error)) throw error;
    const { sqlstate, message, fields } = error;
    return [sqlstate, message, ...(fields.where === undefined ? [] : [`[${fields.where}]`])].join(
      ' ',
    );
  }
  return 'no error';
}

export const INT_AND_TEXT: readonly SqlType[] = [sqlType('int4'), sqlType('text')];

/** The rows in `data`, which comes in pieces of `size` bytes. Columns are called a, b, … */
export function rowsIn(
  data: string | Uint8Array,
  words = '',
  types: readonly SqlType[] = INT_AND_TEXT,
  size = Infinity,
): Datum[][] {
  const rows: Datum[][] = [];
  const columns = types.map((type, position) => ({
    name: String.fromCharCode(0x61 + position),
    type,
    position,
  }));
  const reader = new CopyReader(
    't',
    columns,
    types.length,
    optionsOf(words),
    DEFAULT_CONTEXT,
    (row) => rows.push(row),
  );
  const bytes = typeof data === 'string' ? utf8(data) : data;
  for (let at = 0; at < bytes.length; at += size) {
    // A buffer that is used again: the reader must not look at it later.
    const piece = bytes.slice(at, at + size);
    reader.push(piece);
    piece.fill(0x2a);
  }
  reader.finish();
  return rows;
}
