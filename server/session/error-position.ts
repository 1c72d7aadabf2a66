// Positions of errors: those of a statement inside a text count from its own start. Pure.

import { isSqlError, SqlError } from '../../ledger/error.ts';

/**
 * The error with its position counted from the start of `text`, for a statement that begins at `start` in it
 * (UTF-16 units); anything else as it is.
 */
export function shifted(error: unknown, start: number, text: string): unknown {
  if (start === 0 || !isSqlError(error) || error.fields.position === undefined) return error;
  const characters = [...text.slice(0, start)].length;
  const position = error.fields.position + characters;
  return new SqlError(error.sqlstate, error.message, { ...error.fields, position });
}
