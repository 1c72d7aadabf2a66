// Functions of text that take any type, quote, or hash. Pure.

import { createHash, randomUUID } from 'node:crypto';
import { fromHex, utf8 } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { formatText, padBlank } from '../value/text.ts';
import { spread } from './json.ts';
import { splitText } from './array.ts';
import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import type { EdgeFunction, FunctionTable, SessionFunctions, Signature } from './function.ts';

/** Keywords that quote_ident quotes: all that PostgreSQL 15 does not call unreserved. */
// prettier-ignore
const KEYWORDS = new Set(
  ('all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast ' +
   'char character check coalesce collate collation column concurrently constraint create cross current_catalog ' +
   'current_date current_role current_schema current_time current_timestamp current_user dec decimal default ' +
   'deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant ' +
   'greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join ' +
   'lateral leading least left like limit localtime localtimestamp national natural nchar none normalize not notnull ' +
   'null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real ' +
   'references returning right row select session_user setof similar smallint some substring symmetric table ' +
   'tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic ' +
   'verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse ' +
   'xmlpi xmlroot xmlserialize xmltable').split(' '),
);

export function quoteIdentifier(name: string): string {
  if (/^[a-z_][a-z0-9_]*$/.test(name) && !KEYWORDS.has(name)) return name;
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return text.includes('\\') ? `E${quoted}` : quoted;
}

function texts(
  values: readonly Datum[],
  types: readonly SqlType[],
  session: SessionFunctions,
): (string | null)[] {
  return values.map((value, at) => {
    if (value === null) return null;
    const type = types[at]!;
    return type.base === 'bool' && !type.array
      ? value === 1n
        ? 't'
        : 'f'
      : formatText(value, type, session.values);
  });
}

function concat(args: readonly Datum[], session: SessionFunctions, signature: Signature): Datum {
  if (signature.variadic && args.at(-1) === null) return null;
  const { values, types } = spread(args, signature);
  return texts(values, types, session).join('');
}

function concatWithSeparator(
  args: readonly Datum[],
  session: SessionFunctions,
  signature: Signature,
): Datum {
  const [separator] = args;
  if (separator === null || (signature.variadic && args.at(-1) === null)) return null;
  const { values, types } = spread(args, signature);
  const parts = texts(values, types, session).slice(1);
  return parts.filter((part) => part !== null).join(separator as string);
}

const FORMAT = /%(?:(\d+)\$)?(-)?(?:(\d+)|(\*)(?:(\d+)\$)?)?(.|$)/gsu;

/** format(): %s, %I and %L with positions, flags and widths. */
function format(args: readonly Datum[], session: SessionFunctions, signature: Signature): Datum {
  if (args[0] === null) return null;
  const { values, types } = spread(args, signature);
  const all = texts(values, types, session);
  let next = 1;
  const argument = (position: string | undefined): string | null => {
    const at = position === undefined ? next : Number(position);
    if (at === 0)
      throw formatError('format specifies argument 0, but arguments are numbered from 1');
    next = at + 1;
    if (at >= all.length) throw formatError('too few arguments for format()');
    return all[at]!;
  };
  return (args[0] as string).replace(FORMAT, (...found: readonly (string | undefined)[]) => {
    const [, position, minus, digits, star, starAt, conversion] = found;
    if (conversion === '%') return '%';
    let width = digits === undefined ? 0 : Number(digits);
    let left = minus === '-';
    if (star !== undefined) {
      width = Number(argument(starAt) ?? 0);
      if (width < 0) [width, left] = [-width, true];
    }
    if (conversion === '' || conversion === undefined) {
      throw formatError('unterminated format() type specifier', 'For a single "%" use "%%".');
    }
    if (!'sIL'.includes(conversion)) {
      throw formatError(
        `unrecognized format() type specifier "${conversion}"`,
        'For a single "%" use "%%".',
      );
    }
    const text = converted(argument(position), conversion);
    return left ? text.padEnd(width) : text.padStart(width);
  });
}

function converted(value: string | null, conversion: string): string {
  if (conversion === 's') return value ?? '';
  if (conversion === 'L') return value === null ? 'NULL' : quoteLiteral(value);
  if (value === null) {
    throw new SqlError(
      SQLSTATE.nullValueNotAllowed,
      'null values cannot be formatted as an SQL identifier',
    );
  }
  return quoteIdentifier(value);
}

function formatError(message: string, hint?: string): SqlError {
  return new SqlError(SQLSTATE.invalidParameterValue, message, hint === undefined ? {} : { hint });
}

function digest(algorithm: string, bytes: Datum): Uint8Array {
  const data = typeof bytes === 'string' ? utf8(bytes) : (bytes as Uint8Array);
  return createHash(algorithm).update(data).digest();
}

export function* tableRows([text, separator, nullText]: readonly Datum[]): Iterable<Row> {
  if (text === null) return;
  const parts = splitText(
    text as string,
    separator as string | null,
    (nullText ?? null) as string | null,
  );
  for (const part of parts) yield [part];
}

/** quote_literal and quote_nullable of any type: what its cast to text gives, which says true and false. */
function anyLiteral(ofNull: string | null): EdgeFunction {
  return {
    typed: true,
    nullable: true,
    impl: ([value], session, { args: [type] }) => {
      if (value === null) return ofNull;
      const bool = type!.base === 'bool' && !type!.array;
      const text = bool ? String(value === 1n) : formatText(value!, type!, session.values);
      return quoteLiteral(text);
    },
  };
}

export const TEXT: FunctionTable = {
  padded: { impl: ([text, typmod]) => padBlank(text as string, Number(typmod)) },
  /** Blanks of char(n) are not stored, but count. */
  bpcharoctetlen: {
    typed: true,
    impl: ([text], session, { args }) =>
      BigInt(utf8(formatText(text!, args[0]!, session.values)).length),
  },
  text_concat: { typed: true, nullable: true, impl: concat },
  text_concat_ws: { typed: true, nullable: true, impl: concatWithSeparator },
  text_format: { typed: true, nullable: true, impl: format },
  text_format_nv: { typed: true, nullable: true, impl: format },
  quote_ident: { impl: ([name]) => quoteIdentifier(name as string) },
  quote_literal: anyLiteral(null),
  quote_nullable: anyLiteral('NULL'),
  md5_text: { impl: ([text]) => Buffer.from(digest('md5', text!)).toString('hex') },
  md5_bytea: { impl: ([bytes]) => Buffer.from(digest('md5', bytes!)).toString('hex') },
  sha224_bytea: { impl: ([bytes]) => digest('sha224', bytes!) },
  sha256_bytea: { impl: ([bytes]) => digest('sha256', bytes!) },
  sha384_bytea: { impl: ([bytes]) => digest('sha384', bytes!) },
  sha512_bytea: { impl: ([bytes]) => digest('sha512', bytes!) },
  gen_random_uuid: { volatile: true, impl: () => fromHex(randomUUID().replaceAll('-', '')) },
  lpad_2: { impl: ([text, length]) => padded(text as string, Number(length), true) },
  rpad_2: { impl: ([text, length]) => padded(text as string, Number(length), false) },
  pg_num_nonnulls: {
    nullable: true,
    impl: (args) => BigInt(args.filter((arg) => arg !== null).length),
  },
  pg_num_nulls: {
    nullable: true,
    impl: (args) => BigInt(args.filter((arg) => arg === null).length),
  },
};

/** lpad and rpad with blanks: cut at the end where the text is longer. */
function padded(text: string, length: number, left: boolean): string {
  const characters = [...text];
  if (characters.length >= length) return characters.slice(0, Math.max(length, 0)).join('');
  const blanks = ' '.repeat(length - characters.length);
  return left ? blanks + text : text + blanks;
}
