// The options of COPY, in both their syntaxes, checked as PostgreSQL 15 checks them. Pure.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ParsedStatement, RawNode } from '../parse.ts';

export interface CopyOptions {
  readonly format: 'text' | 'csv' | 'binary';
  /** Byte values; delimiter of text and csv, quote and escape of csv. */
  readonly delimiter: number;
  readonly quote: number;
  readonly escape: number;
  /** What stands for NULL. */
  readonly nullText: string;
  readonly header: boolean | 'match';
  /** Names of columns; '*' for all of them. */
  readonly forceQuote: readonly string[] | '*';
  readonly forceNotNull: readonly string[];
  readonly forceNull: readonly string[];
}

interface Option {
  readonly name: string;
  readonly argument: unknown;
  /** 1-based, in characters of the statement. */
  readonly position: number;
}

const NAMES = new Set([
  'format',
  'freeze',
  'delimiter',
  'null',
  'header',
  'quote',
  'escape',
  'force_quote',
  'force_not_null',
  'force_null',
  'encoding',
]);

/** Characters that no delimiter of the text format may be: they could begin an escape or a value. */
const NO_DELIMITERS = '\\.abcdefghijklmnopqrstuvwxyz0123456789';

/** Encodings that Postgres knows beside UTF-8, in its short names. */
const ENCODINGS =
  /^(sqlascii|latin\d+|iso8859\d+|win\d+|windows\d+|koi8[ru]?|euc\w+|big5|gbk|gb18030|sjis|uhc|johab|mule\w+|shiftjis\w*|alt|abc|tcvn\w*|vscii|win)$/;

/** @throws SqlError 42601, 22023, 0A000 */
export function copyOptions(statement: ParsedStatement): CopyOptions {
  const options = optionsOf(statement);
  const from = statement.tree['is_from'] === true;
  const format = formatOf(options.get('format'));
  const delimiter = text(options, 'delimiter');
  const nullText = text(options, 'null');
  const header = headerOf(options.get('header'), from);
  truth(options.get('freeze'));
  checkEncoding(options.get('encoding'));
  const lists = {
    forceQuote: options.has('force_quote') ? columnList(options.get('force_quote')!, true) : null,
    forceNotNull: options.has('force_not_null')
      ? columnList(options.get('force_not_null')!, false)
      : null,
    forceNull: options.has('force_null') ? columnList(options.get('force_null')!, false) : null,
  };
  if (format === 'binary') {
    if (delimiter !== null) throw syntax('cannot specify DELIMITER in BINARY mode');
    if (nullText !== null) throw syntax('cannot specify NULL in BINARY mode');
  }
  const csv = format === 'csv';
  const quote = text(options, 'quote');
  const chosen = {
    format,
    delimiter: delimiter ?? (csv ? ',' : '\t'),
    nullText: nullText ?? (csv ? '' : '\\N'),
    quote: quote ?? '"',
    escape: text(options, 'escape') ?? quote ?? '"',
  };
  checkCharacters(chosen, options, header);
  checkLists(lists, csv, from);
  if (csv && chosen.nullText.includes(chosen.quote)) {
    throw unsupported('CSV quote character must not appear in the NULL specification');
  }
  return {
    ...chosen,
    delimiter: chosen.delimiter.charCodeAt(0),
    quote: chosen.quote.charCodeAt(0),
    escape: chosen.escape.charCodeAt(0),
    header,
    forceQuote: lists.forceQuote ?? [],
    forceNotNull: (lists.forceNotNull ?? []) as readonly string[],
    forceNull: (lists.forceNull ?? []) as readonly string[],
  };
}

function optionsOf(statement: ParsedStatement): Map<string, Option> {
  const options = new Map<string, Option>();
  const list = (statement.tree['options'] as readonly { DefElem: RawNode }[] | undefined) ?? [];
  for (const { DefElem: element } of list) {
    const name = element['defname'] as string;
    const position = positionOf(statement, element['location'] as number | undefined);
    const option = { name, argument: element['arg'], position };
    if (!NAMES.has(name)) throw syntax(`option "${name}" not recognized`, option);
    if (options.has(name)) throw syntax('conflicting or redundant options', option);
    options.set(name, option);
  }
  return options;
}

/** Where a location is, 1-based and in characters; locations count bytes from the beginning of the whole text. */
export function positionOf(statement: ParsedStatement, location = 0): number {
  const bytes = new TextEncoder().encode(statement.text);
  const before = new TextDecoder().decode(
    bytes.subarray(0, Math.max(0, location - statement.start)),
  );
  return [...before].length + 1;
}

/** The argument as a text, whatever kind of constant it is. */
function textOf({ name, argument }: Option): string {
  const node = argument as Readonly<Record<string, Record<string, unknown>>> | undefined;
  if (node === undefined) throw syntax(`${name} requires a parameter`);
  if (node['String'] !== undefined) return (node['String']['sval'] as string | undefined) ?? '';
  if (node['Integer'] !== undefined) return String(node['Integer']['ival'] ?? 0);
  if (node['Float'] !== undefined) return String(node['Float']['fval']);
  if (node['Boolean'] !== undefined) return node['Boolean']['boolval'] === true ? 'true' : 'false';
  if (node['A_Star'] !== undefined) return '*';
  const names = (node['TypeName']?.['names'] ?? []) as readonly { String: { sval: string } }[];
  return names.map(({ String: part }) => part.sval).join('.');
}

function text(options: ReadonlyMap<string, Option>, name: string): string | null {
  const option = options.get(name);
  return option === undefined ? null : textOf(option);
}

function formatOf(option: Option | undefined): CopyOptions['format'] {
  if (option === undefined) return 'text';
  const format = textOf(option);
  if (format === 'text' || format === 'csv' || format === 'binary') return format;
  throw invalid(`COPY format "${format}" not recognized`, option);
}

function truth(option: Option | undefined): boolean {
  if (option === undefined) return false;
  const value = option.argument === undefined ? 'true' : textOf(option).toLowerCase();
  if (value === 'true' || value === 'on' || value === '1') return true;
  if (value === 'false' || value === 'off' || value === '0') return false;
  throw syntax(`${option.name} requires a Boolean value`);
}

function headerOf(option: Option | undefined, from: boolean): boolean | 'match' {
  if (option?.argument !== undefined && textOf(option).toLowerCase() === 'match') {
    if (from) return 'match';
    throw unsupported('cannot use "match" with HEADER in COPY TO');
  }
  try {
    return truth(option);
  } catch {
    throw syntax('header requires a Boolean value or "match"');
  }
}

function checkEncoding(option: Option | undefined): void {
  if (option === undefined) return;
  const name = textOf(option)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '');
  if (name === 'utf8' || name === 'unicode') return;
  if (ENCODINGS.test(name)) {
    throw unsupported(`COPY in encoding "${textOf(option)}" is not supported`, 'Use UTF8.');
  }
  throw invalid('argument to option "encoding" must be a valid encoding name', option);
}

function columnList(option: Option, star: boolean): readonly string[] | '*' {
  const node = option.argument as
    { A_Star?: unknown; List?: { items: readonly RawNode[] } } | undefined;
  if (star && node?.A_Star !== undefined) return '*';
  if (node?.List === undefined) {
    throw invalid(`argument to option "${option.name}" must be a list of column names`, option);
  }
  return node.List.items.map((item) => (item['String'] as { sval: string }).sval);
}

function checkCharacters(
  {
    format,
    delimiter,
    nullText,
    quote,
    escape,
  }: Record<'format' | 'delimiter' | 'nullText' | 'quote' | 'escape', string>,
  options: ReadonlyMap<string, Option>,
  header: boolean | 'match',
): void {
  const csv = format === 'csv';
  const single = (value: string) => new TextEncoder().encode(value).length === 1;
  if (!single(delimiter)) throw unsupported('COPY delimiter must be a single one-byte character');
  if (/[\r\n]/.test(delimiter))
    throw invalid('COPY delimiter cannot be newline or carriage return');
  if (/[\r\n]/.test(nullText)) {
    throw invalid('COPY null representation cannot use newline or carriage return');
  }
  if (!csv && NO_DELIMITERS.includes(delimiter))
    throw invalid(`COPY delimiter cannot be "${delimiter}"`);
  if (format === 'binary' && header !== false)
    throw unsupported('cannot specify HEADER in BINARY mode');
  if (!csv && options.has('quote')) throw unsupported('COPY quote available only in CSV mode');
  if (csv && !single(quote)) throw unsupported('COPY quote must be a single one-byte character');
  if (csv && delimiter === quote) throw invalid('COPY delimiter and quote must be different');
  if (!csv && options.has('escape')) throw unsupported('COPY escape available only in CSV mode');
  if (csv && !single(escape)) throw unsupported('COPY escape must be a single one-byte character');
  if (format !== 'binary' && nullText.includes(delimiter)) {
    throw unsupported('COPY delimiter must not appear in the NULL specification');
  }
}

function checkLists(
  lists: Record<'forceQuote' | 'forceNotNull' | 'forceNull', unknown>,
  csv: boolean,
  from: boolean,
): void {
  const rules = [
    [lists.forceQuote, 'quote', from, 'TO'],
    [lists.forceNotNull, 'not null', !from, 'FROM'],
    [lists.forceNull, 'null', !from, 'FROM'],
  ] as const;
  for (const [list, words, wrongWay, way] of rules) {
    if (list === null) continue;
    if (!csv) throw unsupported(`COPY force ${words} available only in CSV mode`);
    if (wrongWay) throw unsupported(`COPY force ${words} only available using COPY ${way}`);
  }
}

function syntax(message: string, at?: Option): SqlError {
  return new SqlError(
    SQLSTATE.syntaxError,
    message,
    at === undefined ? {} : { position: at.position },
  );
}

function invalid(message: string, at?: Option): SqlError {
  const fields = at === undefined ? {} : { position: at.position };
  return new SqlError(SQLSTATE.invalidParameterValue, message, fields);
}

function unsupported(message: string, hint?: string): SqlError {
  return new SqlError(SQLSTATE.featureNotSupported, message, hint === undefined ? {} : { hint });
}
