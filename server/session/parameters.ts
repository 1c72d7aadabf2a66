// Parameter values of a Bind message. Pure.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import { fromBinary } from '../../sql/value/binary.ts';
import { parseText } from '../../sql/value/text.ts';
import type { SessionContext } from './context.ts';
import type { Prepared } from './plan.ts';
import { valueContext } from './value-context.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * @throws SqlError 08P01 for a wrong number of values or formats, 22P02 and others for a bad text, 22P03 for
 *   bad binary, 22021 for text that is not UTF-8
 */
export function decodeParameters(
  prepared: Prepared,
  name: string,
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
    if (format === 1) return fromBinary(value, type);
    if (format === 0) return parseText(decodeUtf8(value), type, context);
    throw new SqlError(SQLSTATE.protocolViolation, `unsupported format code: ${format}`);
  });
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
