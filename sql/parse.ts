// Statement texts taken apart by Postgres' own grammar. Pure, but for one spare parser loaded on failure.
//
// The only file that knows libpg-query.
//
// (1) The library counts in UTF-8 bytes, JavaScript in UTF-16 units, Postgres' error positions in
//     characters from 1. Nothing but this file sees the first.
// (2) A tree too deep for the stack breaks the parser a little each time; after a few such statements
//     another instance takes its place. They are answered with 54001.

import { loadModule, parseSync, scanSync } from 'libpg-query';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError } from '../ledger/error.ts';

/** A node of the raw parse tree, as libpg-query prints it: JSON. */
export type RawNode = { readonly [field: string]: unknown };

export interface ParsedStatement {
  /** Tag of the statement's node, e.g. `SelectStmt`, `TransactionStmt`, `CopyStmt`. */
  readonly kind: string;
  /** Its text, without white space around it and without the semicolon. */
  readonly text: string;
  /** Where `text` begins in the whole text, in UTF-16 units. */
  readonly start: number;
  readonly tree: RawNode;
}

export interface Token {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly tokenName: string;
  /** 0: not a keyword. */
  readonly keywordKind: number;
}

interface Parser {
  readonly parseSync: (text: string) => unknown;
  readonly scanSync: (text: string) => { readonly tokens: readonly Token[] };
}

/** A statement as long as this is answered in well under a second. */
const STATEMENT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Levels of the raw tree; a chain of operators has two for each. Analysis takes a time that grows with their
 * square (5,000 terms of a sum held the analyst for 30 s), and there is one analyst for all.
 */
const DEPTH_MAX = 2_000;

/** A text this short cannot nest that deeply. */
const SHALLOW_CHARACTERS = 1_500;

/** An instance is dead for good after about 29 stack overflows (measured); it is retired long before. */
const OVERFLOWS_MAX = 8;

await loadModule();
let parser: Parser = { parseSync, scanSync } as Parser;
let overflows = 0;
let spare: Promise<void> | null = null;
let spares = 0;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Takes a text with any number of statements apart.
 *
 * @throws SqlError 42601 with a position, 54001 when it nests too deeply, 54000 when it is too long
 */
export function parseStatements(text: string): ParsedStatement[] {
  if (text === '') return [];
  const { stmts } = guarded(text, () => parser.parseSync(text)) as { stmts?: readonly RawNode[] };
  if (text.length > SHALLOW_CHARACTERS && depthOf(stmts) > DEPTH_MAX) {
    throw new SqlError(SQLSTATE.statementTooComplex, 'stack depth limit exceeded', {
      hint: 'The statement nests expressions too deeply, or chains too many operators.',
    });
  }
  const slice = byteSlicer(text);
  return (stmts ?? []).map((raw) => {
    const [kind, tree] = Object.entries(raw['stmt'] as RawNode)[0] as [string, RawNode];
    const from = (raw['stmt_location'] as number | undefined) ?? 0;
    const length = raw['stmt_len'] as number | undefined;
    const piece = slice(from, length === undefined || length === 0 ? undefined : from + length);
    const statement = piece.text.trim();
    return { kind, text: statement, start: piece.start + piece.text.indexOf(statement), tree };
  });
}

/** The password given by CREATE or ALTER ROLE: null for PASSWORD NULL, undefined when none is given. */
export function passwordOf(statement: ParsedStatement): string | null | undefined {
  const option = passwordOption(statement.tree);
  if (option === undefined) return undefined;
  const argument = option['arg'] as { String?: { sval?: string } } | undefined;
  return argument === undefined ? null : (argument.String?.sval ?? '');
}

/** The statement's text with `PASSWORD '…'` of a role turned into `PASSWORD NULL`. */
export function redactSecrets(statement: ParsedStatement): string {
  const again = parseStatement(statement.text);
  const option = passwordOption(again.tree);
  if (option === undefined || option['arg'] === undefined) return statement.text;
  const location = (option['location'] as number | undefined) ?? 0;
  const tokens = scan(statement.text);
  const keyword = tokens.findIndex(
    ({ start, text }) => start >= location && /^password$/i.test(text),
  );
  const literal = tokens[keyword + 1];
  if (keyword < 0 || literal === undefined) {
    throw new SqlError(SQLSTATE.internalError, 'password has no place');
  }
  // A string U&'…' may be followed by UESCAPE and its escape character.
  const escape = /^uescape$/i.test(tokens[keyword + 2]?.text ?? '')
    ? tokens[keyword + 3]
    : undefined;
  return replaceBytes(statement.text, [
    { start: literal.start, end: (escape ?? literal).end, by: 'NULL' },
  ]);
}

function passwordOption(tree: RawNode): RawNode | undefined {
  const options = (tree['options'] as readonly { DefElem?: RawNode }[] | undefined) ?? [];
  return Array.isArray(options)
    ? options.map(({ DefElem }) => DefElem).find((element) => element?.['defname'] === 'password')
    : undefined;
}

/** Storage options that are ours; Postgres never sees them. */
const STORAGE_OPTIONS: ReadonlySet<string> = new Set([
  'ledger',
  'shard',
  'shard_by',
  'shards',
  'erasable',
]);

export interface StorageOptions {
  /** The text without them; every other character keeps its position in CREATE TABLE. */
  readonly text: string;
  /** Values by name; null for RESET. */
  readonly options: ReadonlyMap<string, string | null>;
}

/** Cuts `ledger = …`, `shard = …` out of the WITH of CREATE TABLE and the SET of ALTER TABLE. */
export function takeStorageOptions(text: string): StorageOptions {
  const options = new Map<string, string | null>();
  if (!/\b(ledger|shards?|shard_by|erasable)\b/i.test(text)) return { text, options };
  const { kind, tree } = parseStatement(text);
  const ours: RawNode[] = [];
  for (const { elements, reset } of optionLists(kind, tree)) {
    for (const element of elements) {
      const name = element['defname'] as string;
      if (element['defnamespace'] !== undefined || !STORAGE_OPTIONS.has(name)) continue;
      options.set(name, reset ? null : optionText(element['arg'] as RawNode | undefined));
      ours.push(element);
    }
  }
  const tokens = ours.length === 0 ? [] : scan(text);
  const cuts = ours.map((element) => itemCut(tokens, element['location'] as number));
  return { text: replaceBytes(text, mergeCuts(tokens, cuts)), options };
}

interface OptionList {
  readonly elements: readonly RawNode[];
  readonly reset: boolean;
}

function optionLists(kind: string, tree: RawNode): OptionList[] {
  const elementsOf = (list: unknown): RawNode[] =>
    ((list ?? []) as readonly { DefElem?: RawNode }[]).flatMap(({ DefElem }) =>
      DefElem === undefined ? [] : [DefElem],
    );
  if (kind === 'CreateStmt') return [{ elements: elementsOf(tree['options']), reset: false }];
  if (kind === 'CreateTableAsStmt') {
    const into = tree['into'] as RawNode;
    return [{ elements: elementsOf(into['options']), reset: false }];
  }
  if (kind !== 'AlterTableStmt') return [];
  const commands = (tree['cmds'] ?? []) as readonly { AlterTableCmd: RawNode }[];
  return commands
    .map(({ AlterTableCmd }) => AlterTableCmd)
    .filter(({ subtype }) => subtype === 'AT_SetRelOptions' || subtype === 'AT_ResetRelOptions')
    .map(({ subtype, def }) => ({
      elements: elementsOf((def as { List?: { items?: unknown } } | undefined)?.List?.items),
      reset: subtype === 'AT_ResetRelOptions',
    }));
}

/** Text of an option's value: a word, a string or a number. */
function optionText(argument: RawNode | undefined): string {
  if (argument === undefined) return 'true';
  const {
    TypeName,
    String: string,
    Integer,
    Float,
    Boolean: bool,
  } = argument as {
    TypeName?: { names: readonly { String: { sval: string } }[] };
    String?: { sval?: string };
    Integer?: { ival?: number };
    Float?: { fval: string };
    Boolean?: { boolval?: boolean };
  };
  if (TypeName !== undefined) return TypeName.names.map((name) => name.String.sval).join('.');
  if (string !== undefined) return string.sval ?? '';
  if (Integer !== undefined) return String(Integer.ival ?? 0);
  if (Float !== undefined) return Float.fval;
  return String(bool?.boolval ?? false);
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly by: string;
}

/** The tokens [first, last] of the list item that begins at `location`. */
function itemCut(tokens: readonly Token[], location: number): { first: number; last: number } {
  const first = tokens.findIndex(({ start }) => start === location);
  let last = first;
  while (last + 1 < tokens.length && !/^[,)]$/.test(tokens[last + 1]?.text ?? ')')) last += 1;
  return { first, last };
}

/** Blanks the items out, with their commas, and the whole list with its keyword when nothing is left. */
function mergeCuts(
  tokens: readonly Token[],
  cuts: readonly { readonly first: number; readonly last: number }[],
): Edit[] {
  const gone = new Set<number>();
  for (const { first, last } of cuts) for (let i = first; i <= last; i += 1) gone.add(i);
  const edits: Edit[] = [];
  for (const { first } of cuts) {
    let open = first;
    while (tokens[open]?.text !== '(') open -= 1;
    let close = first;
    while (tokens[close]?.text !== ')') close += 1;
    const inside = Array.from({ length: close - open - 1 }, (_, i) => open + 1 + i);
    const left = inside.filter((i) => !gone.has(i) && tokens[i]?.text !== ',');
    if (left.length === 0) {
      const keyword = tokens[open - 1] as Token;
      const end = (tokens[close] as Token).end;
      const by = /^with$/i.test(keyword.text) ? '' : 'RESET (log_autovacuum_min_duration)';
      if (!edits.some(({ start }) => start === keyword.start)) {
        edits.push({ start: keyword.start, end, by });
      }
      continue;
    }
    const { last } = cuts.find((cut) => cut.first === first) as { last: number };
    const commaAfter = tokens[last + 1]?.text === ',';
    const from = commaAfter ? first : first - 1;
    const to = commaAfter ? last + 1 : last;
    edits.push({ start: (tokens[from] as Token).start, end: (tokens[to] as Token).end, by: '' });
  }
  return edits;
}

/** The text without CONCURRENTLY of CREATE INDEX and DROP INDEX: in a ledger it makes no difference. */
export function withoutConcurrently(text: string): string {
  if (!/\bconcurrently\b/i.test(text)) return text;
  const { kind, tree } = parseStatement(text);
  if ((kind !== 'IndexStmt' && kind !== 'DropStmt') || tree['concurrent'] !== true) return text;
  const token = scan(text).find(({ text: word }) => /^concurrently$/i.test(word));
  return token === undefined ? text : replaceBytes(text, [{ ...token, by: '' }]);
}

/** The expression after USING in `ALTER COLUMN column TYPE … USING …`, or undefined. */
export function usingOf(statement: ParsedStatement, column: string): string | undefined {
  const commands = (statement.tree['cmds'] ?? []) as readonly { AlterTableCmd?: RawNode }[];
  const index = commands.findIndex(
    ({ AlterTableCmd: command }) =>
      command?.['subtype'] === 'AT_AlterColumnType' && command['name'] === column,
  );
  const definition = commands[index]?.AlterTableCmd?.['def'] as
    { readonly ColumnDef?: RawNode } | undefined;
  if (definition?.ColumnDef?.['raw_default'] === undefined) return undefined;
  const tokens = scan(statement.text);
  const typeIndex = alterationStart(tokens, index);
  const using = tokens.findIndex(({ text: word }, i) => i > typeIndex && /^using$/i.test(word));
  let end = using + 1;
  for (let depth = 0; end < tokens.length; end += 1) {
    const word = tokens[end]?.text;
    if (word === ',' && depth === 0) break;
    if (word === '(' || word === '[') depth += 1;
    if (word === ')' || word === ']') depth -= 1;
  }
  const slice = byteSlicer(statement.text);
  return slice((tokens[using] as Token).end, tokens[end]?.start).text.trim();
}

/** Index of the token at which the n-th command (from 0) of an ALTER TABLE begins. */
function alterationStart(tokens: readonly Token[], count: number): number {
  let seen = 0;
  let depth = 0;
  return tokens.findIndex(({ text: word }) => {
    if (word === '(' || word === '[') depth += 1;
    if (word === ')' || word === ']') depth -= 1;
    if (seen === count) return true;
    if (word === ',' && depth === 0) seen += 1;
    return false;
  });
}

/** Levels of a tree, without recursion: its depth is what is in question. */
function depthOf(tree: unknown): number {
  let depth = 0;
  let level: unknown[] = [tree];
  while (level.length > 0 && depth <= DEPTH_MAX) {
    depth += 1;
    level = level.flatMap((node) =>
      typeof node === 'object' && node !== null ? Object.values(node) : [],
    );
  }
  return depth;
}

/** The text with every `$n` replaced by what `place` gives for n. */
export function replaceParameters(text: string, place: (number: number) => string): string {
  const parameters = scan(text).filter(({ tokenName }) => tokenName === 'PARAM');
  return replaceBytes(
    text,
    parameters.map(({ start, end, text: name }) => ({
      start,
      end,
      by: place(Number(name.slice(1))),
    })),
  );
}

/** Catalogs that PostgreSQL 15 had in another shape; the mirror has a view `<name>_15` of each. */
const RESHAPED = /\bpg_(attribute|constraint|database|collation|statistic_ext)\b/i;

/**
 * The text with those catalogs in FROM replaced by their views, which keep the catalog's name as alias. An alias
 * has no schema, so columns named by way of pg_catalog lose theirs; nothing else changes.
 */
export function useCatalogViews(text: string): string {
  if (!RESHAPED.test(text)) return text;
  const { tree } = parseStatement(text);
  const tokens = scan(text);
  const tokenAt = (node: RawNode): number =>
    tokens.findIndex(({ start }) => start === (node['location'] ?? 0));
  // A view has no system columns: where one is wanted, it is an ordinary column of another view.
  const suffix = /\b(tableoid|xmin|ctid)\b/i.test(text) ? '_system' : '';
  const own = new Set(nodesOf(tree, 'CommonTableExpr').map(({ ctename }) => ctename));
  const relations = nodesOf(tree, 'RangeVar').flatMap((relation): Edit[] => {
    const name = relation['relname'] as string;
    const schema = relation['schemaname'];
    if (!RESHAPED.test(name) || (schema === undefined ? own.has(name) : schema !== 'pg_catalog')) {
      return [];
    }
    const token = tokens[tokenAt(relation) + (schema === undefined ? 0 : 2)];
    if (token === undefined) return [];
    const alias = relation['alias'] === undefined ? ` AS ${name}` : '';
    return [{ start: token.start, end: token.end, by: `${name}_15${suffix}${alias}` }];
  });
  if (relations.length === 0) return text;
  const schemas = nodesOf(tree, 'ColumnRef').flatMap((reference): Edit[] => {
    const fields = reference['fields'] as readonly { String?: { sval?: string } }[];
    const [schema, relation] = fields.map((field) => field.String?.sval ?? '');
    if (fields.length !== 3 || schema !== 'pg_catalog' || !RESHAPED.test(relation ?? '')) return [];
    const first = tokenAt(reference);
    const [token, dot] = [tokens[first], tokens[first + 1]];
    return token === undefined || dot?.text !== '.'
      ? []
      : [{ start: token.start, end: dot.end, by: '' }];
  });
  return replaceBytes(text, [...relations, ...schemas]);
}

/** A collation that a statement names. */
export interface NamedCollation {
  /** As it is written, with its schema. */
  readonly name: string;
  /** In characters from 1; undefined where Postgres does not keep it. */
  readonly position: number | undefined;
}

/** The collations that a statement of `text` names: in expressions, columns, domains and keys of indexes. */
export function collationsOf(text: string): NamedCollation[] {
  if (!/\bcollate\b/i.test(text)) return [];
  const slice = byteSlicer(text);
  const { kind, tree } = parseStatement(text);
  const named = (names: unknown, location?: number): NamedCollation => ({
    name: (names as { String: { sval?: string } }[]).map(({ String: { sval } }) => sval).join('.'),
    position: location === undefined ? undefined : [...slice(0, location).text].length + 1,
  });
  const placed =
    kind !== 'CreateDomainStmt' &&
    nodesOf(tree, 'AlterTableCmd').every(({ subtype }) => subtype !== 'AT_AlterColumnType');
  return [
    ...nodesOf(tree, 'CollateClause').map(({ collname, location }) =>
      named(collname, location as number),
    ),
    ...nodesOf(tree, 'collClause').map(({ collname, location }) =>
      named(collname, placed ? (location as number) : undefined),
    ),
    ...nodesOf(tree, 'IndexElem').flatMap(({ collation }) =>
      collation === undefined ? [] : [named(collation)],
    ),
  ];
}

/** All nodes of a kind, in any sub-select. */
function nodesOf(value: unknown, kind: string): RawNode[] {
  if (Array.isArray(value)) return value.flatMap((item) => nodesOf(item, kind));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, item]) =>
    name === kind ? [item as RawNode, ...nodesOf(item, kind)] : nodesOf(item, kind),
  );
}

/**
 * Takes a text with exactly one statement apart.
 *
 * @throws SqlError 42601 when there is none or several, and as `parseStatements`
 */
export function parseStatement(text: string): ParsedStatement {
  const statements = parseStatements(text);
  const [statement] = statements;
  if (statement === undefined || statements.length > 1) {
    throw new SqlError(
      SQLSTATE.syntaxError,
      'cannot insert multiple commands into a prepared statement',
    );
  }
  return statement;
}

export function scan(text: string): readonly Token[] {
  return guarded(text, () => parser.scanSync(text)).tokens;
}

/** Keywords after which a statement says of what, not what it does. */
const COMMAND_ENDS: ReadonlySet<string> = new Set([
  'for',
  'from',
  'if',
  'on',
  'reset',
  'set',
  'to',
]);
/** Words of CREATE TEXT SEARCH CONFIGURATION. */
const COMMAND_WORDS_MAX = 4;

/** What a statement does, for messages: the keywords it begins with. */
export function commandName({ text }: ParsedStatement): string {
  const words = scan(text).slice(0, COMMAND_WORDS_MAX);
  const end = words.findIndex(
    ({ keywordKind, text: word }) => keywordKind === 0 || COMMAND_ENDS.has(word.toLowerCase()),
  );
  return words
    .slice(0, end === -1 ? words.length : end)
    .map(({ text: word }) => word.toUpperCase())
    .join(' ');
}

/** Edits by byte offset, blanks filled up so that what follows keeps its position where it can. */
function replaceBytes(text: string, edits: readonly Edit[]): string {
  const slice = byteSlicer(text);
  let result = '';
  let at = 0;
  for (const { start, end, by } of [...edits].sort((a, b) => a.start - b.start)) {
    result += slice(at, start).text;
    result += by.padEnd(slice(start, end).text.length);
    at = end;
  }
  return result + slice(at).text;
}

/** Cuts a text by UTF-8 byte offsets; `start` of the answer is in UTF-16 units. Offsets must not fall. */
function byteSlicer(text: string): (from: number, to?: number) => { text: string; start: number } {
  const bytes = encoder.encode(text);
  if (bytes.length === text.length) {
    return (from, to) => ({ text: text.slice(from, to), start: from });
  }
  let byte = 0;
  let unit = 0;
  return (from, to) => {
    if (from < byte) {
      byte = 0;
      unit = 0;
    }
    unit += decoder.decode(bytes.subarray(byte, from)).length;
    byte = from;
    return { text: decoder.decode(bytes.subarray(from, to)), start: unit };
  };
}

function guarded<T>(text: string, call: () => T): T {
  if (text.includes('\0')) {
    throw new SqlError(
      SQLSTATE.characterNotInRepertoire,
      'invalid byte sequence for encoding "UTF8": 0x00',
    );
  }
  if (text.length > STATEMENT_BYTES_MAX) {
    throw new SqlError(SQLSTATE.programLimitExceeded, 'statement is too long');
  }
  try {
    return call();
  } catch (error) {
    throw translate(error);
  }
}

function translate(error: unknown): SqlError {
  const details = (error as { sqlDetails?: { message: string; cursorPosition: number } })
    .sqlDetails;
  if (details === undefined) {
    retire();
    return tooComplex();
  }
  const { message, cursorPosition } = details;
  if (/^memory exhausted|stack depth/.test(message)) return tooComplex();
  const position = cursorPosition >= 0 ? { position: cursorPosition + 1 } : {};
  // The library keeps neither SQLSTATE nor hint.
  if (message === 'invalid Unicode escape') {
    const hint = 'Unicode escapes must be \\uXXXX or \\UXXXXXXXX.';
    return new SqlError(SQLSTATE.invalidEscapeSequence, message, { hint, ...position });
  }
  return new SqlError(SQLSTATE.syntaxError, message, position);
}

function tooComplex(): SqlError {
  return new SqlError(SQLSTATE.statementTooComplex, 'stack depth limit exceeded', {
    hint: 'The statement nests too deeply. Split it into smaller ones.',
  });
}

/** Counts a stack overflow; after a few, loads a fresh instance and lets it take over. */
function retire(): void {
  overflows += 1;
  if (overflows < OVERFLOWS_MAX || spare !== null) return;
  spares += 1;
  spare = (async (): Promise<void> => {
    // The ES module beside the main file: only those can be loaded a second time.
    const url = new URL(`index.js?instance=${spares}`, import.meta.resolve('libpg-query'));
    const fresh = (await import(url.href)) as Parser & { readonly loadModule: () => Promise<void> };
    await fresh.loadModule();
    parser = fresh;
    overflows = 0;
    spare = null;
  })();
}
