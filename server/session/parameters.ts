// Parameter values of a Bind message. Pure.

import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import { fromBinary } from '../../sql/value/binary.ts';
import { parseText } from '../../sql/value/text.ts';
import type { SessionContext } from './context.ts';
import type { Prepared } from './plan.ts';
import { valueContext } from './value-context.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * @param portal     name of the portal they are bound to, for the context of errors
 * @throws SqlError 08P01 for a wrong number of values or formats, 22P02 and others for a bad text, 22P03 for
 *   bad binary, 22021 for text that is not UTF-8
 */
export function decodeParameters(
  prepared: Prepared,
  name: string,
  portal: string,
  values: readonly (Uint8Array | null)[],
  formats: readonly number[],
  session: SessionContext,
): Datum[] {
  const types = prepared.parameterTypes;
  if (values.length !== types.length) {
    throw new SqlError(
      SQLSTATE.protocolViolation,
      `bind message supplies ${values.length} parameters, but prepared statement "${name}" requires ${types.length}`,
    );
  }
  if (formats.length > 1 && formats.length !== values.length) {
    throw new SqlError(
      SQLSTATE.protocolViolation,
      `bind message has ${formats.length} parameter formats but ${values.length} parameters`,
    );
  }
  if (values.length === 0) return [];
  const context = valueContext(session);
  return values.map((value, index) => {
    if (value === null) return null;
    const type = types[index]!;
    const format = formats.length === 0 ? 0 : formats.length === 1 ? formats[0]! : formats[index]!;
    if (format === 0 || format === 1) {
      try {
        return format === 1 ? fromBinary(value, type) : parseText(decodeUtf8(value), type, context);
      } catch (error) {
        throw inParameter(error, portal, index, format);
      }
    }
    throw new SqlError(SQLSTATE.protocolViolation, `unsupported format code: ${format}`);
  });
}

/** The value itself is not shown, as with log_parameter_max_length_on_error = 0. */
function inParameter(error: unknown, portal: string, index: number, format: number): unknown {
  if (!isSqlError(error)) return error;
  const bound = portal === '' ? 'unnamed portal' : `portal "${portal}"`;
  const where = `${bound} parameter $${index + 1}${format === 0 ? " = '...'" : ''}`;
  return new SqlError(error.sqlstate, error.message, { ...error.fields, where });
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    const text = decoder.decode(bytes);
    if (!text.includes('\0')) return text;
  } catch {
    // Falls through to the error that Postgres gives.
  }
  throw new SqlError(
    SQLSTATE.characterNotInRepertoire,
    'invalid byte sequence for encoding "UTF8"',
  );
}

/**
 * Values given by their text forms, one for each parameter.
 *
 * @throws SqlError 22P02 and others for a bad text
 */
export function parseParameters(
  { parameterTypes }: Prepared,
  values: readonly string[],
  session: SessionContext,
): Datum[] {
  const context = valueContext(session);
  return values.map((value, i) => parseText(value, parameterTypes[i]!, context));
}
