// Literals taken out of a statement's text, so that clients that paste values into it share one plan. Pure.
//
// Two steps, because the second is dear. `tryLiterals` finds the literals of a text by its own small lexer
// (2 µs) and gives the text around them as a key. `templateOf` asks Postgres' grammar, once for each key, which
// of them stand where a parameter may stand instead.
//
// (1) The lexer knows plain strings, quoted names, names and decimal numbers. A text with anything else that
//     could hide a quote or a digit (comments, dollar quotes, prefixed or continued strings, other numbers,
//     parameters of its own, several statements) is not taken apart.
// (2) Texts with the same key consist of the same tokens but for the contents of literals, so the grammar
//     gives them the same tree: what holds for one text's places holds for all.
// (3) Only places whose meaning does not depend on the value are taken: operands in WHERE, rows of VALUES,
//     right sides of SET. Positions in ORDER BY, LIMIT, type modifiers, select lists stay in the text.
// (4) A parameter that stands for a number has its type; one for a string has none, like the string itself.
//     The caller still has to see that the statement resolves to the same (`sameButLiterals`).

import type { Datum } from '../ledger/type.ts';
import { parseStatements } from './parse.ts';
import type { RawNode } from './parse.ts';

export interface Literal {
  /** UTF-16 units; a string with its quotes. */
  readonly start: number;
  readonly end: number;
  readonly kind: 'integer' | 'decimal' | 'string';
}

export interface Literals {
  /** The statement without blanks around it and without its semicolon. */
  readonly text: string;
  /** The text with every literal replaced by a mark of its kind. */
  readonly key: string;
  readonly list: readonly Literal[];
}

/** What becomes of each literal of a key: null stays in the text; else whether a minus before it goes along. */
export type Template = readonly (Place | null)[];

interface Place {
  readonly negative: boolean;
}

export interface Normalised {
  /** With `$n` in place of the literals taken out. */
  readonly text: string;
  /** Type OIDs of the parameters, 0 where it is to be inferred. */
  readonly oids: readonly number[];
  /** Text forms of the values. */
  readonly values: readonly string[];
}

/** More would make Bind dearer than a plan of its own; the protocol ends at 65,535. */
const LITERALS_MAX = 4_000;

const INT4 = 23;
const INT8 = 20;
const NUMERIC = 1700;

/** Names, strings, quoted names, numbers, and what ends the attempt. */
const TOKEN =
  /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|\d[\d.]*(?:[eE][+-]?\d+)?|\.\d|--|\/\*|\$|;/g;

/** The literals of one statement of data; null when there are none or the text is beyond the lexer. */
export function tryLiterals(given: string): Literals | null {
  let text = given.trim();
  if (!/^(?:select|insert|update|delete)\b/i.test(text)) return null;
  const list: Literal[] = [];
  let key = '';
  let copied = 0;
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(text); found !== null; found = TOKEN.exec(text)) {
    const token = found[0];
    const start = found.index;
    const end = start + token.length;
    const first = token.charCodeAt(0);
    let kind: Literal['kind'];
    if (first === 0x27) {
      // A prefix (E'', U&''), an unfinished string, or one that goes on in the next line.
      if (token.length < 2 || token.charCodeAt(token.length - 1) !== 0x27) return null;
      if (start > 0 && /[\w$&\u0080-\uffff]/.test(text[start - 1]!)) return null;
      if (/^\s*'/.test(text.slice(end, end + 64)) || /^\s{64}/.test(text.slice(end, end + 64)))
        return null;
      kind = 'string';
    } else if (first >= 0x30 && first <= 0x39) {
      if (!/^\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(token)) return null;
      if (/[\w.$\u0080-\uffff]/.test(text[end] ?? ' ')) return null;
      kind = /^\d+$/.test(token) ? 'integer' : 'decimal';
    } else if (token === ';') {
      if (end < text.length) return null;
      text = text.slice(0, start).trimEnd();
      break;
    } else if (token === '$' || token === '--' || token === '/*' || first === 0x2e) {
      return null;
    } else {
      // A name, quoted or not; an unfinished one is an error that the parser explains.
      continue;
    }
    if (list.length === LITERALS_MAX) return null;
    key += `${text.slice(copied, start)}${markOf(kind, token)}`;
    copied = end;
    list.push({ start, end, kind });
  }
  return list.length === 0 ? null : { text, key: key + text.slice(copied), list };
}

/** The grammar tells integers that fit into int4 from others: so do the marks. They occur in no text. */
function markOf(kind: Literal['kind'], token: string): string {
  if (kind === 'string') return '\0s';
  return kind === 'integer' && Number(token) <= 0x7fff_ffff ? '\0i' : '\0n';
}

/**
 * Which literals of the text may become parameters; null when none may.
 *
 * @throws SqlError as parseStatements
 */
export function templateOf({ text, list }: Literals): Template | null {
  const statements = parseStatements(text);
  const statement = statements[0];
  if (statement === undefined || statements.length > 1) return null;
  const constants = new Map<number, RawNode>();
  constantsOfStatement(statement.kind, statement.tree, constants);
  const offsetOf = byteOffsets(text);
  let any = false;
  const template = list.map((literal): Place | null => {
    const plain = constants.get(offsetOf(literal.start));
    if (plain !== undefined && means(plain, text.slice(literal.start, literal.end), false)) {
      any = true;
      return { negative: false };
    }
    const minus = literal.kind === 'string' ? -1 : minusBefore(text, literal.start);
    const negated = minus < 0 ? undefined : constants.get(offsetOf(minus));
    if (negated === undefined || !means(negated, text.slice(literal.start, literal.end), true))
      return null;
    any = true;
    return { negative: true };
  });
  return any ? template : null;
}

/** Puts a template to a text of its key. */
export function normalise({ text, list }: Literals, template: Template): Normalised {
  const oids: number[] = [];
  const values: string[] = [];
  let out = '';
  let copied = 0;
  for (let i = 0; i < list.length; i++) {
    const place = template[i]!;
    if (place === null) continue;
    const { start, end, kind } = list[i]!;
    const written = text.slice(start, end);
    const value = kind === 'string' ? unquoted(written) : place.negative ? `-${written}` : written;
    values.push(value);
    oids.push(kind === 'string' ? 0 : numberOid(kind, value));
    // Blanks around it: `a=1or` and `-5` behind an operator must not grow together with `$`.
    out += `${text.slice(copied, place.negative ? minusBefore(text, start) : start)} $${values.length} `;
    copied = end;
  }
  return { text: out + text.slice(copied), oids, values };
}

function unquoted(written: string): string {
  const inner = written.slice(1, -1);
  return inner.includes("'") ? inner.replaceAll("''", "'") : inner;
}

/** The type that Postgres gives a number (make_const). */
function numberOid(kind: Literal['kind'], value: string): number {
  if (kind === 'decimal') return NUMERIC;
  const number = BigInt(value);
  if (BigInt.asIntN(32, number) === number) return INT4;
  return BigInt.asIntN(64, number) === number ? INT8 : NUMERIC;
}

/** Where the minus right before a number stands, with nothing but blanks between; -1 if there is none. */
function minusBefore(text: string, start: number): number {
  let at = start - 1;
  while (at >= 0 && /\s/.test(text[at]!)) at -= 1;
  return text[at] === '-' ? at : -1;
}

/** libpg-query counts in UTF-8 bytes. */
function byteOffsets(text: string): (at: number) => number {
  // eslint-disable-next-line no-control-regex
  if (/^[\0-\x7f]*$/.test(text)) return (at) => at;
  const encoder = new TextEncoder();
  return (at) => encoder.encode(text.slice(0, at)).length;
}

/** Whether the constant of the tree is what was written, so that both lexers speak of the same. */
function means(constant: RawNode, written: string, negative: boolean): boolean {
  const { sval, ival, fval } = constant as {
    sval?: { sval?: string };
    ival?: { ival?: number };
    fval?: { fval?: string };
  };
  if (sval !== undefined)
    return !negative && written.startsWith("'") && (sval.sval ?? '') === unquoted(written);
  const value = negative ? `-${written}` : written;
  if (ival !== undefined) return (ival.ival ?? 0) === Number(value) && /^-?\d+$/.test(value);
  return fval?.fval === value;
}

// Where the tree holds constants that a parameter may replace, by byte offset.

type Constants = Map<number, RawNode>;

function constantsOfStatement(kind: string, tree: RawNode, into: Constants): void {
  switch (kind) {
    case 'SelectStmt':
      constantsOf(tree['whereClause'], into);
      return;
    case 'InsertStmt': {
      const select = (tree['selectStmt'] as RawNode | undefined)?.['SelectStmt'] as
        RawNode | undefined;
      if (select === undefined) return;
      for (const row of listOf(select['valuesLists'])) {
        for (const value of listOf((row['List'] as RawNode | undefined)?.['items']))
          constantsOf(value, into);
      }
      constantsOf(select['whereClause'], into);
      return;
    }
    case 'UpdateStmt':
      for (const target of listOf(tree['targetList'])) {
        constantsOf((target['ResTarget'] as RawNode | undefined)?.['val'], into);
      }
      constantsOf(tree['whereClause'], into);
      return;
    case 'DeleteStmt':
      constantsOf(tree['whereClause'], into);
      return;
    default:
  }
}

/** Operators whose right side is better known to the compiler: LIKE and its kin keep their pattern. */
const OPERAND_KINDS = new Set([
  'AEXPR_OP',
  'AEXPR_IN',
  'AEXPR_DISTINCT',
  'AEXPR_NOT_DISTINCT',
  'AEXPR_BETWEEN',
  'AEXPR_NOT_BETWEEN',
]);

function constantsOf(node: unknown, into: Constants): void {
  if (node === undefined || node === null) return;
  const [kind, value] = Object.entries(node as RawNode)[0] as [string, RawNode];
  switch (kind) {
    case 'A_Const':
      if (typeof value['location'] === 'number') into.set(value['location'], value);
      return;
    case 'A_Expr': {
      if (!OPERAND_KINDS.has(value['kind'] as string)) return;
      // Two constants (1 = 1) are for the planner to fold, and say nothing of each other's type.
      if (isConstant(value['lexpr']) && isConstant(value['rexpr'])) return;
      constantsOf(value['lexpr'], into);
      constantsOf(value['rexpr'], into);
      return;
    }
    case 'BoolExpr':
      for (const argument of listOf(value['args'])) constantsOf(argument, into);
      return;
    case 'List':
      for (const item of listOf(value['items'])) constantsOf(item, into);
      return;
    case 'NullTest':
      constantsOf(value['arg'], into);
      return;
    case 'TypeCast':
      if (isPlainType(value['typeName'] as RawNode)) constantsOf(value['arg'], into);
      return;
    default:
  }
}

function isConstant(node: unknown): boolean {
  return node !== undefined && 'A_Const' in (node as RawNode);
}

/** Types whose text form alone makes the value: no modifiers, no names of other things. */
const PLAIN_TYPES = new Set([
  'bool',
  'int2',
  'int4',
  'int8',
  'numeric',
  'float4',
  'float8',
  'text',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'uuid',
  'bytea',
  'json',
  'jsonb',
]);

function isPlainType(type: RawNode): boolean {
  if (listOf(type['typmods']).length > 0 || listOf(type['arrayBounds']).length > 0) return false;
  const names = listOf(type['names']).map(
    (name) => (name['String'] as { sval?: string } | undefined)?.sval ?? '',
  );
  return PLAIN_TYPES.has(names.at(-1) ?? '') && (names.length === 1 || names[0] === 'pg_catalog');
}

function listOf(value: unknown): readonly RawNode[] {
  return Array.isArray(value) ? (value as RawNode[]) : [];
}

/**
 * Whether two resolved statements are the same but for constants in the first where the second has parameters of the
 * same type and value.
 *
 * @param values  of the parameters
 */
export function sameButLiterals(a: unknown, b: unknown, values: readonly Datum[]): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (a instanceof Uint8Array || b instanceof Uint8Array) return sameBytes(a, b);
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => sameButLiterals(item, b[i], values));
  }
  const [left, right] = [a as RawNode, b as RawNode];
  if (left['kind'] === 'const' && right['kind'] === 'param') {
    if (left['relation'] !== undefined || left['value'] === null) return false;
    if (!sameButLiterals(left['type'], right['type'], values)) return false;
    return sameButLiterals(left['value'], values[(right['number'] as number) - 1], values);
  }
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  return names.every((name) => name in right && sameButLiterals(left[name], right[name], values));
}

function sameBytes(a: object, b: object): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array) || a.length !== b.length)
    return false;
  return a.every((byte, i) => byte === b[i]);
}
