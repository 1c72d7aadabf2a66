// Expressions of Postgres' node trees → Scalar. Pure.
//
// What OIDs mean comes from a TreeResolver. A node that is not known is 0A000, never a guess.
//
// The type modifier of every expression is what exprTypmod() of nodeFuncs.c gives: how a numeric is held
// depends on it.

import { SQLSTATE } from '../ledger/sqlstate.ts';
import { AssertionError, SqlError } from '../ledger/error.ts';
import type { SqlType } from '../ledger/type.ts';
import type { FunctionRef, Query, Scalar, SortKey, Target } from './ir.ts';
import { decodeConstant } from './node-tree-constant.ts';
import { isNode } from './node-tree-text.ts';
import { XID_OID } from './value/oid.ts';
import type { TreeNode, TreeValue } from './node-tree-text.ts';

/** What a relation's OID stands for. */
export type ResolvedRelation =
  | {
      readonly kind: 'relation';
      readonly relationKind: 'table' | 'sequence' | 'ledgerView' | 'history';
      /** Ledger id; negative for ledger views. */
      readonly relation: number;
      /** Names by attribute number - 1; '' for dropped columns. */
      readonly columns: readonly string[];
    }
  | {
      readonly kind: 'view';
      readonly relation: number;
      readonly tree: TreeNode;
      /** Role id to check what the view reads as; null for security_invoker. */
      readonly checkAs: number | null;
    };

/** Gives OIDs their meaning. Every method throws SqlError 0A000 for what has none here. */
export interface TreeResolver {
  type(oid: number, typmod: number): SqlType;
  fn(oid: number): FunctionRef;
  /** The function behind an operator. */
  operator(oid: number): FunctionRef;
  enumLabel(oid: number): string;
  relation(oid: number): ResolvedRelation;
  /** Ledger id of the relation a result column comes from; 0 when it is none of the ledger's. */
  relationId(oid: number): number;
  /** Column number of ledger relation `oid` as the IR counts it (history's own columns are shifted). */
  columnId(oid: number, attribute: number): number;
  /** Types of the columns of a function that returns several, or null when it returns one. */
  functionColumns(oid: number): readonly SqlType[] | null;
  /** How many parameters a function has, and the defaults of the last ones. */
  parameters(oid: number): { readonly count: number; readonly defaults: readonly TreeNode[] };
  /** Ledger id of the index behind a constraint. */
  constraintIndex(oid: number): number;
  /** Ledger id of the unique index of `relation` that ON CONFLICT infers from these elements. */
  inferIndex(relation: number, elements: readonly Scalar[], where: Scalar | null): number;
}

/** The query being read, as far as its expressions need it. */
export interface ScalarContext {
  readonly resolver: TreeResolver;
  /** Reads a nested query. */
  readonly query: (node: TreeNode) => Query;
  /** Sub-selects of `SET (a, b) = (SELECT …)`, by number. */
  readonly multiple: Map<number, Query>;
  /** Attribute number → column id of a range table entry `levelsUp` queries out. */
  readonly column: (entry: number, attribute: number, levelsUp: number) => number;
}

// ---- fields ----

export function field(node: TreeNode, name: string): TreeValue {
  return node.fields.get(name) ?? null;
}

export function int(node: TreeNode, name: string): number {
  return Number(field(node, name) ?? 0);
}

export function bool(node: TreeNode, name: string): boolean {
  return field(node, name) === 'true';
}

export function text(node: TreeNode, name: string): string {
  const value = field(node, name);
  return typeof value === 'string' ? value : '';
}

export function list(node: TreeNode, name: string): readonly TreeValue[] {
  const value = field(node, name);
  return Array.isArray(value) ? (value as readonly TreeValue[]) : [];
}

export function nodes(node: TreeNode, name: string): TreeNode[] {
  return list(node, name).filter(isNode);
}

export function ints(node: TreeNode, name: string): number[] {
  return list(node, name).map(Number);
}

export function child(node: TreeNode, name: string): TreeNode {
  const value = field(node, name);
  if (!isNode(value)) throw new AssertionError(`node tree: ${node.tag} has no ${name}`);
  return value;
}

export function optional(node: TreeNode, name: string): TreeNode | null {
  const value = field(node, name);
  return isNode(value) ? value : null;
}

export function unsupported(what: string, hint?: string): SqlError {
  return new SqlError(
    SQLSTATE.featureNotSupported,
    `${what} is not supported`,
    hint === undefined ? {} : { hint },
  );
}

// ---- expressions ----

type Reader = (node: TreeNode, context: ScalarContext) => Scalar;

export function readScalar(node: TreeNode, context: ScalarContext): Scalar {
  const reader = READERS[node.tag];
  if (reader === undefined) {
    throw unsupported(`expression ${node.tag.toLowerCase()}`, 'See docs/sql.md.');
  }
  return reader(node, context);
}

export function readScalars(node: TreeNode, name: string, context: ScalarContext): Scalar[] {
  return nodes(node, name).map((item) => readScalar(item, context));
}

export function readOptional(node: TreeNode, name: string, context: ScalarContext): Scalar | null {
  const value = optional(node, name);
  return value === null ? null : readScalar(value, context);
}

const typeOf = (
  node: TreeNode,
  context: ScalarContext,
  oid: string,
  typmod: string | number = -1,
): SqlType =>
  context.resolver.type(int(node, oid), typeof typmod === 'string' ? int(node, typmod) : typmod);

const BOOL = 16;
const INT4 = 23;
const TEXT = 25;

function boolType(context: ScalarContext): SqlType {
  return context.resolver.type(BOOL, -1);
}

/** The modifier all share when they are of one type, else -1. */
function commonTypmod(items: readonly Scalar[]): number {
  const [first] = items;
  if (first === undefined) return -1;
  const same = items.every(
    ({ type }) => type.base === first.type.base && type.typmod === first.type.typmod,
  );
  return same ? first.type.typmod : -1;
}

function functionOf(node: TreeNode, context: ScalarContext): FunctionRef {
  const oid = int(node, 'opfuncid');
  return oid === 0 ? context.resolver.operator(int(node, 'opno')) : context.resolver.fn(oid);
}

const FORMATS = ['call', 'cast', 'cast', 'call'] as const;

function readFunction(node: TreeNode, context: ScalarContext): Scalar {
  const given = completeArguments(node, context);
  const fn = context.resolver.fn(int(node, 'funcid'));
  // What is held as an oid cannot be told from one later.
  if (fn.symbol === 'pg_typeof' && given.some((item) => int(item, 'vartype') === XID_OID)) {
    const type = typeOf(node, context, 'funcresulttype');
    return { kind: 'const', type, value: BigInt(XID_OID) };
  }
  const args = given.map((item) => readScalar(item, context));
  const format = FORMATS[int(node, 'funcformat')] ?? 'call';
  return {
    kind: 'call',
    type: typeOf(node, context, 'funcresulttype', lengthCoercion(node, args, format)),
    fn,
    args,
    variadic: bool(node, 'funcvariadic'),
    format,
  };
}

/** Arguments in the order of the parameters: named ones at their place, what is left out by its default. */
function completeArguments(node: TreeNode, context: ScalarContext): readonly TreeNode[] {
  const given = nodes(node, 'args');
  const { count, defaults } = context.resolver.parameters(int(node, 'funcid'));
  if (given.length >= count && !given.some(({ tag }) => tag === 'NAMEDARGEXPR')) return given;
  const placed = new Map(
    given.map((item, at) =>
      item.tag === 'NAMEDARGEXPR' ? [int(item, 'argnumber'), child(item, 'arg')] : [at, item],
    ),
  );
  return Array.from({ length: Math.max(count, given.length) }, (_, at) => {
    const found = placed.get(at) ?? defaults[at - (count - defaults.length)];
    if (found === undefined) throw new AssertionError('node tree: argument without a default');
    return found;
  });
}

/** A cast to a length is a call f(value, typmod [, explicit]). */
function lengthCoercion(
  node: TreeNode,
  args: readonly Scalar[],
  format: (typeof FORMATS)[number],
): number {
  const [, second] = nodes(node, 'args');
  if (format !== 'cast' || second === undefined || second.tag !== 'CONST' || args.length > 3) {
    return -1;
  }
  const constant = args[1];
  if (int(second, 'consttype') !== INT4 || constant?.kind !== 'const') return -1;
  return constant.value === null ? -1 : Number(constant.value);
}

function readOperator(node: TreeNode, context: ScalarContext): Scalar {
  return {
    kind: 'call',
    type: typeOf(node, context, 'opresulttype'),
    fn: functionOf(node, context),
    args: readScalars(node, 'args', context),
    variadic: false,
    format: 'operator',
  };
}

function pair(node: TreeNode, context: ScalarContext): readonly [Scalar, Scalar] {
  const [left, right] = readScalars(node, 'args', context);
  if (left === undefined || right === undefined) {
    throw new AssertionError(`node tree: ${node.tag} wants two arguments`);
  }
  return [left, right];
}

/** Attribute number of xmax, the only system column that a statement may name. */
export const XMAX_ATTRIBUTE = -4;

export function systemColumn(): SqlError {
  return unsupported('a system column', 'See docs/sql.md.');
}

function readVar(node: TreeNode, context: ScalarContext): Scalar {
  if (int(node, 'varreturningtype') !== 0) throw unsupported('OLD or NEW in RETURNING');
  const attribute = int(node, 'varattno');
  if (attribute < 0 && attribute !== XMAX_ATTRIBUTE) throw systemColumn();
  const entry = int(node, 'varno');
  const levelsUp = int(node, 'varlevelsup');
  return {
    kind: 'var',
    type: typeOf(node, context, 'vartype', 'vartypmod'),
    entry,
    column: context.column(entry, attribute, levelsUp),
    levelsUp,
  };
}

function readConstant(node: TreeNode, context: ScalarContext): Scalar {
  const type = typeOf(node, context, 'consttype', 'consttypmod');
  const bytes = field(node, 'constvalue');
  if (!ArrayBuffer.isView(bytes)) return { kind: 'const', type, value: null };
  const label = (oid: number): string => context.resolver.enumLabel(oid);
  const value = decodeConstant(bytes as Uint8Array, type, label);
  if (type.base !== 'regclass' || type.array) return { kind: 'const', type, value };
  const relation = context.resolver.relationId(Number(value));
  return { kind: 'const', type, value, ...(relation === 0 ? {} : { relation }) };
}

function readParameter(node: TreeNode, context: ScalarContext): Scalar {
  const type = typeOf(node, context, 'paramtype', 'paramtypmod');
  const number = int(node, 'paramid');
  switch (int(node, 'paramkind')) {
    case 0:
      return { kind: 'param', type, number };
    case 2:
      return { kind: 'subParam', type, number };
    case 3:
      return multipleAssignment(number, type, context);
    default:
      throw new AssertionError('node tree: unexpected kind of parameter');
  }
}

/** One column of `SET (a, b) = (SELECT …)`: the sub-select with that column alone. */
function multipleAssignment(number: number, type: SqlType, context: ScalarContext): Scalar {
  const query = context.multiple.get(number >> 16);
  if (query === undefined) throw new AssertionError('node tree: sub-select of SET not found');
  const shown = query.targets.filter(({ hidden }) => !hidden);
  const wanted = shown[(number & 0xffff) - 1];
  const targets = query.targets.map((target): Target =>
    target === wanted ? target : { ...target, hidden: true },
  );
  return { kind: 'subquery', type, link: 'scalar', query: { ...query, targets }, test: null };
}

const LINKS = ['exists', 'all', 'any', 'rowCompare', 'scalar', 'multiple', 'array'] as const;

function readSubLink(node: TreeNode, context: ScalarContext): Scalar {
  const link = LINKS[int(node, 'subLinkType')];
  const query = context.query(child(node, 'subselect'));
  const test = readOptional(node, 'testexpr', context);
  const first = query.targets.find(({ hidden }) => !hidden)?.expression.type;
  switch (link) {
    case 'scalar':
    case 'array': {
      if (first === undefined) throw new AssertionError('node tree: sub-select without columns');
      const type = link === 'array' ? { ...first, array: true } : first;
      return { kind: 'subquery', type, link, query, test };
    }
    case 'multiple':
      context.multiple.set(int(node, 'subLinkId'), query);
      return { kind: 'const', type: context.resolver.type(RECORD, -1), value: null };
    case undefined:
      throw unsupported('this kind of sub-select');
    default:
      return { kind: 'subquery', type: boolType(context), link, query, test };
  }
}

const RECORD = 2249;

function readCase(node: TreeNode, context: ScalarContext): Scalar {
  const whens = nodes(node, 'args').map((when) => ({
    when: readScalar(child(when, 'expr'), context),
    then: readScalar(child(when, 'result'), context),
  }));
  const otherwise = readOptional(node, 'defresult', context);
  const results = [...whens.map(({ then }) => then), ...(otherwise === null ? [] : [otherwise])];
  return {
    kind: 'case',
    type: typeOf(node, context, 'casetype', commonTypmod(results)),
    operand: readOptional(node, 'arg', context),
    whens,
    otherwise,
  };
}

function readSubscript(node: TreeNode, context: ScalarContext): Scalar {
  const indexes = (name: string): (Scalar | null)[] =>
    list(node, name).map((item) => (isNode(item) ? readScalar(item, context) : null));
  const arg = readScalar(child(node, 'refexpr'), context);
  const lower = indexes('reflowerindexpr');
  const upper = indexes('refupperindexpr');
  const value = readOptional(node, 'refassgnexpr', context);
  if (value !== null) return elementAssignment(arg, value, lower, upper, context);
  return {
    kind: 'subscript',
    type: typeOf(node, context, 'refrestype', 'reftypmod'),
    arg,
    lower,
    upper,
    slice: lower.length > 0,
  };
}

/** What `a[2] = x` or `a[1:2] = x` makes of `a`: a call of our own function. */
function elementAssignment(
  array: Scalar,
  value: Scalar,
  lower: readonly (Scalar | null)[],
  upper: readonly (Scalar | null)[],
  context: ScalarContext,
): Scalar {
  if (!array.type.array) throw unsupported('assignment to a subscript of this type');
  const text = (word: string): Scalar => ({
    kind: 'const',
    type: context.resolver.type(TEXT, -1),
    value: word,
  });
  const bounds = upper.flatMap((to, at) => {
    const one = to ?? text('');
    return lower.length === 0 ? [one] : [lower[at] ?? text(''), one];
  });
  return {
    kind: 'call',
    type: array.type,
    fn: ARRAY_ASSIGN,
    args: [array, value, text(lower.length === 0 ? 'element' : 'slice'), ...bounds],
    variadic: false,
    format: 'call',
  };
}

const ARRAY_ASSIGN: FunctionRef = {
  oid: 0,
  name: 'array_assign',
  symbol: 'array_assign',
  volatility: 'immutable',
  strict: false,
  returnsSet: false,
};

/** `SET a[1] = …, a[2] = …`: the second assignment begins with what the first one made. */
export function afterAssignment(later: Scalar, before: Scalar): Scalar {
  if (later.kind === 'toDomain' || later.kind === 'relabel') {
    return { ...later, arg: afterAssignment(later.arg, before) };
  }
  if (later.kind !== 'call' || later.fn !== ARRAY_ASSIGN) {
    throw new AssertionError('node tree: a column is assigned twice');
  }
  const [array, ...rest] = later.args;
  const nested = array?.kind === 'call' && array.fn === ARRAY_ASSIGN;
  return { ...later, args: [nested ? afterAssignment(array, before) : before, ...rest] };
}

function readSortKeys(
  order: readonly TreeNode[],
  entries: readonly TreeNode[],
  context: ScalarContext,
): SortKey[] {
  return order.map((clause) => {
    const reference = int(clause, 'tleSortGroupRef');
    const entry = entries.find((candidate) => int(candidate, 'ressortgroupref') === reference);
    if (entry === undefined) throw new AssertionError('node tree: sort key not found');
    return {
      expression: readScalar(child(entry, 'expr'), context),
      descending: bool(clause, 'reverse_sort'),
      nullsFirst: bool(clause, 'nulls_first'),
    };
  });
}

/**
 * The type of min(x), lag(x) and the like: blanks of char(n) are not stored, so that its length must not get
 * lost on the way. Postgres knows no modifier here, and clients are told none.
 */
function typeThrough(type: SqlType, args: readonly Scalar[]): SqlType {
  const [first] = args;
  const kept = type.base === 'bpchar' && first?.type.base === 'bpchar';
  return kept ? { ...type, typmod: first.type.typmod } : type;
}

function readAggregate(node: TreeNode, context: ScalarContext): Scalar {
  const entries = nodes(node, 'args');
  const args = entries
    .filter((entry) => !bool(entry, 'resjunk'))
    .map((entry) => readScalar(child(entry, 'expr'), context));
  return {
    kind: 'aggregate',
    type: typeThrough(typeOf(node, context, 'aggtype'), args),
    fn: context.resolver.fn(int(node, 'aggfnoid')),
    args,
    star: bool(node, 'aggstar'),
    distinct: nodes(node, 'aggdistinct').length > 0,
    order: readSortKeys(nodes(node, 'aggorder'), entries, context),
    direct: readScalars(node, 'aggdirectargs', context),
    filter: readOptional(node, 'aggfilter', context),
    levelsUp: int(node, 'agglevelsup'),
  };
}

function readWindowFunction(node: TreeNode, context: ScalarContext): Scalar {
  const args = readScalars(node, 'args', context);
  return {
    kind: 'window',
    type: typeThrough(typeOf(node, context, 'wintype'), args),
    fn: context.resolver.fn(int(node, 'winfnoid')),
    args,
    star: bool(node, 'winstar'),
    filter: readOptional(node, 'aggfilter', context),
    window: int(node, 'winref') - 1,
    aggregate: bool(node, 'winagg'),
  };
}

// prettier-ignore
const SESSION_VALUES = [
  'current_date', 'current_time', 'current_time', 'current_timestamp', 'current_timestamp',
  'localtime', 'localtime', 'localtimestamp', 'localtimestamp',
  'current_role', 'current_user', 'user', 'session_user', 'current_catalog', 'current_schema',
] as const;

const ROW_OPERATORS = { 1: '<', 2: '<=', 4: '>=', 5: '>' } as const;

function readRowCompare(node: TreeNode, context: ScalarContext): Scalar {
  const op = ROW_OPERATORS[int(node, 'cmptype') as keyof typeof ROW_OPERATORS];
  return {
    kind: 'rowCompare',
    type: boolType(context),
    op,
    fns: ints(node, 'opnos').map((oid) => context.resolver.operator(oid)),
    left: readScalars(node, 'largs', context),
    right: readScalars(node, 'rargs', context),
  };
}

const BOOLEAN_TESTS = [
  'isTrue',
  'isNotTrue',
  'isFalse',
  'isNotFalse',
  'isUnknown',
  'isNotUnknown',
] as const;

/** Readers of nodes with one argument and a result type. */
function relabelling(kind: 'viaText' | 'relabel' | 'toDomain', typmod: string | number): Reader {
  return (node, context) => ({
    kind,
    type: typeOf(node, context, 'resulttype', typmod),
    arg: readScalar(child(node, 'arg'), context),
  });
}

function readArrayCoercion(node: TreeNode, context: ScalarContext): Scalar {
  return {
    kind: 'arrayCoerce',
    type: typeOf(node, context, 'resulttype', 'resulttypmod'),
    arg: readScalar(child(node, 'arg'), context),
    element: readScalar(child(node, 'elemexpr'), context),
  };
}

function readBoolean(node: TreeNode, context: ScalarContext): Scalar {
  const op = text(node, 'boolop') as 'and' | 'or' | 'not';
  const args = readScalars(node, 'args', context);
  const type = boolType(context);
  if (op !== 'not') return { kind: op, type, args };
  const [arg] = args;
  if (arg === undefined) throw new AssertionError('node tree: NOT without argument');
  return { kind: 'not', type, arg };
}

function readArray(node: TreeNode, context: ScalarContext): Scalar {
  const elements = readScalars(node, 'elements', context);
  return {
    kind: 'array',
    type: typeOf(node, context, 'array_typeid', commonTypmod(elements)),
    elements,
    nested: bool(node, 'multidims'),
  };
}

function readDistinct(node: TreeNode, context: ScalarContext): Scalar {
  const [left, right] = pair(node, context);
  const equal = functionOf(node, context);
  const kind = node.tag === 'NULLIFEXPR' ? 'nullIf' : 'distinct';
  const type =
    kind === 'nullIf' ? typeOf(node, context, 'opresulttype', left.type.typmod) : boolType(context);
  return { kind, type, equal, left, right };
}

const READERS: Readonly<Record<string, Reader>> = {
  VAR: readVar,
  CONST: readConstant,
  PARAM: readParameter,
  CURRENTOFEXPR: () => {
    throw unsupported('WHERE CURRENT OF', 'Name the row by its key.');
  },
  FUNCEXPR: readFunction,
  OPEXPR: readOperator,
  BOOLEXPR: readBoolean,
  DISTINCTEXPR: readDistinct,
  NULLIFEXPR: readDistinct,
  SCALARARRAYOPEXPR: (node, context) => {
    const [arg, array] = pair(node, context);
    const fn = functionOf(node, context);
    return { kind: 'anyOf', type: boolType(context), any: bool(node, 'useOr'), fn, arg, array };
  },
  RELABELTYPE: relabelling('relabel', 'resulttypmod'),
  COERCEVIAIO: relabelling('viaText', -1),
  COERCETODOMAIN: relabelling('toDomain', 'resulttypmod'),
  // VALUE of a domain's check: the one expression without a range table.
  COERCETODOMAINVALUE: (node, context) => ({
    kind: 'var',
    type: typeOf(node, context, 'typeId', 'typeMod'),
    entry: 0,
    column: 0,
    levelsUp: 0,
  }),
  ARRAYCOERCEEXPR: readArrayCoercion,
  CASEEXPR: readCase,
  CASETESTEXPR: (node, context) => ({
    kind: 'caseValue',
    type: typeOf(node, context, 'typeId', 'typeMod'),
  }),
  COALESCEEXPR: (node, context) => {
    const args = readScalars(node, 'args', context);
    return {
      kind: 'coalesce',
      type: typeOf(node, context, 'coalescetype', commonTypmod(args)),
      args,
    };
  },
  MINMAXEXPR: (node, context) => {
    const args = readScalars(node, 'args', context);
    const kind = int(node, 'op') === 0 ? 'greatest' : 'least';
    return { kind, type: typeOf(node, context, 'minmaxtype', commonTypmod(args)), args };
  },
  NULLTEST: (node, context) => ({
    kind: int(node, 'nulltesttype') === 0 ? 'isNull' : 'isNotNull',
    type: boolType(context),
    arg: readScalar(child(node, 'arg'), context),
  }),
  BOOLEANTEST: (node, context) => ({
    kind: BOOLEAN_TESTS[int(node, 'booltesttype')] ?? 'isTrue',
    type: boolType(context),
    arg: readScalar(child(node, 'arg'), context),
  }),
  ARRAYEXPR: readArray,
  SUBSCRIPTINGREF: readSubscript,
  ROWEXPR: (node, context) => ({
    kind: 'row',
    type: context.resolver.type(RECORD, -1),
    args: readScalars(node, 'args', context),
    names: null,
  }),
  ROWCOMPAREEXPR: readRowCompare,
  FIELDSELECT: (node, context) => ({
    kind: 'field',
    type: typeOf(node, context, 'resulttype', 'resulttypmod'),
    arg: readScalar(child(node, 'arg'), context),
    field: int(node, 'fieldnum'),
  }),
  SQLVALUEFUNCTION: (node, context) => ({
    kind: 'session',
    type: typeOf(node, context, 'type', 'typmod'),
    name: SESSION_VALUES[int(node, 'op')] ?? '',
  }),
  AGGREF: readAggregate,
  GROUPINGFUNC: (node, context) => ({
    kind: 'grouping',
    type: context.resolver.type(INT4, -1),
    args: readScalars(node, 'args', context),
  }),
  WINDOWFUNC: readWindowFunction,
  SUBLINK: readSubLink,
  SETTODEFAULT: (node, context) => ({
    kind: 'default',
    type: typeOf(node, context, 'typeId', 'typeMod'),
  }),
  // PG writes a collation choice as its own node; every ledger collation is "C".
  COLLATEEXPR: (node, context) => readScalar(child(node, 'arg'), context),
};
