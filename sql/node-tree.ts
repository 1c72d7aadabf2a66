// Postgres' resolved query trees → Query. Pure.
//
// The only files that know the node format are this one, node-tree-scalar.ts (expressions),
// node-tree-constant.ts (bytes of constants) and node-tree-text.ts (the text form). Field and constant
// names are those of parsenodes.h and primnodes.h of PostgreSQL 18.
//
// (1) Views are expanded where they stand; what they read is checked as their owner.
// (2) What is not known is 0A000.

import { AssertionError } from '../ledger/error.ts';
import type { SqlType } from '../ledger/type.ts';
import type {
  Cte,
  FrameBound,
  FromItem,
  JoinType,
  OnConflict,
  Query,
  RangeEntry,
  RequiredPrivilege,
  Scalar,
  SetOperation,
  SortRef,
  Target,
  Window,
} from './ir.ts';
import {
  bool,
  child,
  field,
  int,
  ints,
  list,
  nodes,
  optional,
  afterAssignment,
  readOptional,
  readScalar,
  readScalars,
  text,
  unsupported,
} from './node-tree-scalar.ts';
import type { ScalarContext, TreeResolver } from './node-tree-scalar.ts';
import { isNode } from './node-tree-text.ts';
import type { TreeNode, TreeValue } from './node-tree-text.ts';

/** A query nested deeper than this is refused rather than read. */
const VIEW_DEPTH_MAX = 64;

/**
 * Reads a QUERY node.
 *
 * @throws SqlError 0A000 for what TrustSQL does not do, 42501 never: privileges are listed, not checked
 */
export function readQuery(node: TreeNode, resolver: TreeResolver): Query {
  return new QueryReader(node, resolver, null, null, 0).read();
}

/** Reads an expression that may refer to one relation (entry 1), e.g. CHECK, DEFAULT or an index key. */
export function readExpression(node: TreeNode, resolver: TreeResolver): Scalar {
  const context: ScalarContext = {
    resolver,
    query: (nested) => readQuery(nested, resolver),
    multiple: new Map(),
    column: (_entry, attribute) => attribute,
  };
  return readScalar(node, context);
}

/** The statement's QUERY nodes in the text of a function's body: `(({QUERY …}))`, or of a rule: `({QUERY …})`. */
export function queryNodes(tree: TreeValue): TreeNode[] {
  if (isNode(tree)) return tree.tag === 'QUERY' ? [tree] : [];
  return Array.isArray(tree) ? (tree as readonly TreeValue[]).flatMap(queryNodes) : [];
}

const COMMANDS = { 1: 'select', 2: 'update', 3: 'insert', 4: 'delete' } as const;
const JOINS: readonly (JoinType | undefined)[] = ['inner', 'left', 'full', 'right'];
const OVERRIDING = ['none', 'user', 'system'] as const;
const MULTIPLE_LINK = 5;

class QueryReader {
  readonly #node: TreeNode;
  readonly #resolver: TreeResolver;
  readonly #parent: QueryReader | null;
  /** Role that the relations are read as: the owner of the view at hand. */
  readonly #checkAs: number | null;
  readonly #viewDepth: number;
  readonly #entries: readonly TreeNode[];
  readonly #context: ScalarContext;

  constructor(
    node: TreeNode,
    resolver: TreeResolver,
    parent: QueryReader | null,
    checkAs: number | null,
    viewDepth: number,
  ) {
    this.#node = node;
    this.#resolver = resolver;
    this.#parent = parent;
    this.#checkAs = checkAs;
    this.#viewDepth = viewDepth;
    this.#entries = nodes(node, 'rtable');
    this.#context = {
      resolver,
      query: (nested) => this.#nested(nested),
      multiple: new Map(),
      column: (entry, attribute, levelsUp) => this.#columnOf(entry, attribute, levelsUp),
    };
  }

  read(): Query {
    const node = this.#node;
    const command = COMMANDS[int(node, 'commandType') as keyof typeof COMMANDS];
    if (command === undefined) throw unsupported('MERGE', 'Use INSERT … ON CONFLICT.');
    const entries = this.#entries.map((entry) => this.#entry(entry));
    const jointree = child(node, 'jointree');
    this.#readMultiple();
    const targets = this.#targets('targetList', command === 'insert' || command === 'update');
    const distinct = this.#sortRefs('distinctClause');
    const setOperations = optional(node, 'setOperations');
    return {
      command,
      entries,
      target: int(node, 'resultRelation'),
      from: nodes(jointree, 'fromlist').map((item) => this.#fromItem(item)),
      where: readOptional(jointree, 'quals', this.#context),
      targets,
      returning: this.#targets('returningList', false),
      group: this.#sortRefs('groupClause'),
      groupDistinct: bool(node, 'groupDistinct'),
      groupingSets: this.#groupingSets(),
      having: readOptional(node, 'havingQual', this.#context),
      aggregates: bool(node, 'hasAggs'),
      windows: nodes(node, 'windowClause').map((clause) => this.#window(clause)),
      distinct,
      distinctOn: bool(node, 'hasDistinctOn'),
      sort: this.#sortRefs('sortClause'),
      offset: readOptional(node, 'limitOffset', this.#context),
      limit: readOptional(node, 'limitCount', this.#context),
      withTies: int(node, 'limitOption') === 1,
      set: setOperations === null ? null : this.#setOperation(setOperations),
      ctes: nodes(node, 'cteList').map((cte) => this.#cte(cte)),
      locks: nodes(node, 'rowMarks').flatMap((mark) => this.#lock(mark)),
      onConflict: this.#onConflict(),
      overriding: OVERRIDING[int(node, 'override')] ?? 'none',
      privileges: nodes(node, 'rteperminfos').map((info) => this.#privilege(info)),
    };
  }

  #nested(node: TreeNode): Query {
    return new QueryReader(node, this.#resolver, this, this.#checkAs, this.#viewDepth).read();
  }

  #columnOf(entry: number, attribute: number, levelsUp: number): number {
    if (levelsUp > 0) {
      const parent = this.#parent;
      return parent === null ? attribute : parent.#columnOf(entry, attribute, levelsUp - 1);
    }
    const node = this.#entries[entry - 1];
    if (node === undefined || int(node, 'rtekind') !== 0) return attribute;
    return this.#resolver.columnId(int(node, 'relid'), attribute);
  }

  // ---- range table ----

  #entry(node: TreeNode): RangeEntry {
    const names = child(node, 'eref');
    const alias = text(names, 'aliasname');
    const columns = list(names, 'colnames').map((name) => (typeof name === 'string' ? name : ''));
    const lateral = bool(node, 'lateral');
    switch (int(node, 'rtekind')) {
      case 0:
        return this.#relation(node, alias, columns);
      case 1:
        return {
          kind: 'subquery',
          alias,
          query: this.#nested(child(node, 'subquery')),
          lateral,
          columns,
        };
      case 2:
        return this.#join(node, alias, columns);
      case 3:
        return {
          kind: 'function',
          alias,
          calls: nodes(node, 'functions').map((call) => this.#functionCall(call)),
          ordinality: bool(node, 'funcordinality'),
          lateral,
          columns,
        };
      case 5:
        return {
          kind: 'values',
          alias,
          rows: list(node, 'values_lists').map((row) =>
            (row as readonly TreeValue[])
              .filter(isNode)
              .map((item) => readScalar(item, this.#context)),
          ),
          types: this.#columnTypes(node, 'coltypes', 'coltypmods'),
          columns,
        };
      case 6:
        return {
          kind: 'cte',
          alias,
          name: text(node, 'ctename'),
          levelsUp: int(node, 'ctelevelsup'),
          recursive: bool(node, 'self_reference'),
          types: this.#columnTypes(node, 'coltypes', 'coltypmods'),
          columns,
        };
      case 8:
        return { kind: 'result' };
      case 9:
        return { kind: 'group', expressions: readScalars(node, 'groupexprs', this.#context) };
      default:
        throw unsupported('XMLTABLE or JSON_TABLE');
    }
  }

  #relation(node: TreeNode, alias: string, columns: readonly string[]): RangeEntry {
    if (optional(node, 'tablesample') !== null) throw unsupported('TABLESAMPLE');
    const oid = int(node, 'relid');
    const resolved = this.#resolver.relation(oid);
    if (resolved.kind === 'relation') {
      const { relation } = resolved;
      const excluded = text(node, 'relkind') === 'c';
      const relationKind = excluded ? 'excluded' : resolved.relationKind;
      return { kind: 'relation', alias, relation, relationKind, columns: resolved.columns };
    }
    if (this.#entries[int(this.#node, 'resultRelation') - 1] === node) {
      throw unsupported('writing to a view', 'Write to the table beneath it.');
    }
    if (this.#viewDepth >= VIEW_DEPTH_MAX) throw unsupported('so deep a nest of views');
    const { tree, checkAs } = resolved;
    const inner = new QueryReader(
      tree,
      this.#resolver,
      null,
      checkAs ?? this.#checkAs,
      this.#viewDepth + 1,
    );
    return { kind: 'subquery', alias, query: inner.read(), lateral: false, columns };
  }

  #join(node: TreeNode, alias: string, columns: readonly string[]): RangeEntry {
    return {
      kind: 'join',
      alias,
      join: joinType(node),
      aliasVars: list(node, 'joinaliasvars').map((item) =>
        isNode(item) ? readScalar(item, this.#context) : null,
      ),
      columns,
    };
  }

  #functionCall(node: TreeNode): {
    call: Scalar;
    columnCount: number;
    columnTypes: readonly SqlType[];
  } {
    const call = readScalar(child(node, 'funcexpr'), this.#context);
    const columnCount = int(node, 'funccolcount');
    const defined = this.#columnTypes(node, 'funccoltypes', 'funccoltypmods');
    const columnTypes = (defined.length > 0 ? defined : null) ??
      (call.kind === 'call' ? this.#resolver.functionColumns(call.fn.oid) : null) ?? [call.type];
    return { call, columnCount, columnTypes };
  }

  #columnTypes(node: TreeNode, oids: string, typmods: string): SqlType[] {
    const modifiers = ints(node, typmods);
    return ints(node, oids).map((oid, i) => this.#resolver.type(oid, modifiers[i] ?? -1));
  }

  // ---- FROM, set operations, WITH ----

  #fromItem(node: TreeNode): FromItem {
    if (node.tag === 'RANGETBLREF') return { kind: 'ref', entry: int(node, 'rtindex') };
    return {
      kind: 'join',
      join: joinType(node),
      left: this.#fromItem(child(node, 'larg')),
      right: this.#fromItem(child(node, 'rarg')),
      on: readOptional(node, 'quals', this.#context),
      entry: int(node, 'rtindex'),
      using: list(node, 'usingClause').length > 0,
    };
  }

  #setOperation(node: TreeNode): SetOperation {
    if (node.tag === 'RANGETBLREF') return { kind: 'ref', entry: int(node, 'rtindex') };
    const kind = [undefined, 'union', 'intersect', 'except'][int(node, 'op')];
    if (kind === undefined) throw new AssertionError('node tree: unknown set operation');
    return {
      kind: kind as 'union' | 'intersect' | 'except',
      all: bool(node, 'all'),
      left: this.#setOperation(child(node, 'larg')),
      right: this.#setOperation(child(node, 'rarg')),
      types: this.#columnTypes(node, 'colTypes', 'colTypmods'),
    };
  }

  #cte(node: TreeNode): Cte {
    const query = child(node, 'ctequery');
    if (optional(node, 'search_clause') !== null || optional(node, 'cycle_clause') !== null) {
      throw unsupported('SEARCH or CYCLE of WITH');
    }
    return {
      name: text(node, 'ctename'),
      query: this.#nested(query),
      recursive: bool(node, 'cterecursive'),
      materialized:
        (['default', 'always', 'never'] as const)[int(node, 'ctematerialized')] ?? 'default',
      columns: list(node, 'ctecolnames').map(String),
      types: this.#columnTypes(node, 'ctecoltypes', 'ctecoltypmods'),
    };
  }

  // ---- target lists, sorting, grouping ----

  #targets(name: string, assign: boolean): Target[] {
    const targets = nodes(this.#node, name)
      .filter((entry) => !isMultipleLink(entry))
      .map((entry) => this.#target(entry, assign));
    return assign ? mergedAssignments(targets) : targets;
  }

  #target(entry: TreeNode, assign: boolean): Target {
    const hidden = bool(entry, 'resjunk');
    const origin = int(entry, 'resorigtbl');
    const relation = origin === 0 ? 0 : this.#resolver.relationId(origin);
    return {
      expression: readScalar(child(entry, 'expr'), this.#context),
      name: text(entry, 'resname'),
      hidden,
      relation,
      column: relation === 0 ? 0 : this.#resolver.columnId(origin, int(entry, 'resorigcol')),
      assign: assign && !hidden ? int(entry, 'resno') : 0,
    };
  }

  /** The sub-selects of `SET (a, b) = (SELECT …)` come after the entries that use them. */
  #readMultiple(): void {
    for (const entry of nodes(this.#node, 'targetList')) {
      if (isMultipleLink(entry)) readScalar(child(entry, 'expr'), this.#context);
    }
  }

  #targetIndex(reference: number): number {
    const entries = nodes(this.#node, 'targetList').filter((entry) => !isMultipleLink(entry));
    const index = entries.findIndex((entry) => int(entry, 'ressortgroupref') === reference);
    if (index < 0) throw new AssertionError('node tree: sort reference not found');
    return index;
  }

  #sortRefs(name: string, from: TreeNode = this.#node): SortRef[] {
    return nodes(from, name).map((clause) => ({
      target: this.#targetIndex(int(clause, 'tleSortGroupRef')),
      descending: bool(clause, 'reverse_sort'),
      nullsFirst: bool(clause, 'nulls_first'),
    }));
  }

  #groupingSets(): (readonly number[])[] | null {
    const sets = nodes(this.#node, 'groupingSets');
    if (sets.length === 0) return null;
    const expanded = sets.map((set) => expandGroupingSet(set));
    const product = expanded.reduce<readonly (readonly number[])[]>(
      (sofar, next) => sofar.flatMap((left) => next.map((right) => [...left, ...right])),
      [[]],
    );
    return product.map((references) => [
      ...new Set(references.map((reference) => this.#targetIndex(reference))),
    ]);
  }

  #window(clause: TreeNode): Window {
    const options = int(clause, 'frameOptions');
    const bound = (start: boolean): FrameBound => {
      const unbounded = options & (start ? 0x20 : 0x40);
      const unboundedFollowing = options & (start ? 0x80 : 0x100);
      const preceding = options & (start ? 0x800 : 0x1000);
      const following = options & (start ? 0x2000 : 0x4000);
      if (unbounded !== 0) return { kind: 'unboundedPreceding' };
      if (unboundedFollowing !== 0) return { kind: 'unboundedFollowing' };
      if (preceding === 0 && following === 0) return { kind: 'currentRow' };
      const offset = readScalar(child(clause, start ? 'startOffset' : 'endOffset'), this.#context);
      return { kind: preceding === 0 ? 'following' : 'preceding', offset };
    };
    const ordinary = (options & 0x4) === 0 ? 'range' : 'rows';
    return {
      partition: this.#sortRefs('partitionClause', clause),
      order: this.#sortRefs('orderClause', clause),
      mode: (options & 0x8) === 0 ? ordinary : 'groups',
      start: bound(true),
      // Without an end the frame ends at the current row.
      end: bound(false),
      exclude: exclusion(options),
    };
  }

  // ---- locks, conflicts, privileges ----

  #lock(mark: TreeNode): Query['locks'][number][] {
    if (bool(mark, 'pushedDown')) return [];
    const strength = [null, 'keyShare', 'share', 'noKeyUpdate', 'update'] as const;
    const wait = ['block', 'skip', 'nowait'] as const;
    return [
      {
        entry: int(mark, 'rti'),
        strength: strength[int(mark, 'strength')] ?? 'update',
        wait: wait[int(mark, 'waitPolicy')] ?? 'block',
      },
    ];
  }

  #onConflict(): OnConflict | null {
    const clause = optional(this.#node, 'onConflict');
    if (clause === null) return null;
    const context = this.#context;
    return {
      index: this.#arbiter(clause),
      action: int(clause, 'action') === 1 ? 'nothing' : 'update',
      set: nodes(clause, 'onConflictSet').map((entry) => this.#target(entry, true)),
      where: readOptional(clause, 'onConflictWhere', context),
      excluded: int(clause, 'exclRelIndex'),
    };
  }

  #arbiter(clause: TreeNode): number | null {
    const constraint = int(clause, 'constraint');
    if (constraint !== 0) return this.#resolver.constraintIndex(constraint);
    const elements = nodes(clause, 'arbiterElems').map((element) =>
      readScalar(child(element, 'expr'), this.#context),
    );
    if (elements.length === 0) return null;
    const target = this.#entries[int(this.#node, 'resultRelation') - 1];
    if (target === undefined) throw new AssertionError('node tree: INSERT without a target');
    const where = field(clause, 'arbiterWhere');
    const predicates = (Array.isArray(where) ? where : [where]).filter(isNode);
    const scalars = predicates.map((item) => readScalar(item, this.#context));
    const [first] = scalars;
    const whole: Scalar | null =
      first === undefined
        ? null
        : scalars.length === 1
          ? first
          : { kind: 'and', type: first.type, args: scalars };
    const relation = this.#resolver.relationId(int(target, 'relid'));
    return this.#resolver.inferIndex(relation, elements, whole);
  }

  #privilege(info: TreeNode): RequiredPrivilege {
    const oid = int(info, 'relid');
    const bits = int(info, 'requiredPerms');
    const letters = ['a', 'r', 'w', 'd'].filter((_, i) => (bits & (1 << i)) !== 0);
    // FirstLowInvalidHeapAttributeNumber is -7: bit 7 is the whole row, bit 8 column 1.
    const columns = (name: string): number[] =>
      ints(info, name).map((bit) => this.#resolver.columnId(oid, bit - 7));
    return {
      relation: this.#resolver.relationId(oid),
      privileges: letters.join(''),
      selectColumns: columns('selectedCols'),
      insertColumns: columns('insertedCols'),
      updateColumns: columns('updatedCols'),
      checkAs: this.#checkAs,
    };
  }
}

function joinType(node: TreeNode): JoinType {
  const join = JOINS[int(node, 'jointype')];
  if (join === undefined) throw new AssertionError('node tree: unknown kind of join');
  return join;
}

function isMultipleLink(entry: TreeNode): boolean {
  const expression = child(entry, 'expr');
  return expression.tag === 'SUBLINK' && int(expression, 'subLinkType') === MULTIPLE_LINK;
}

function exclusion(options: number): Window['exclude'] {
  if ((options & 0x8000) !== 0) return 'current row';
  if ((options & 0x10000) !== 0) return 'group';
  return (options & 0x20000) === 0 ? 'none' : 'ties';
}

/** Assignments to several elements of one column are one assignment. */
function mergedAssignments(targets: readonly Target[]): Target[] {
  const merged: Target[] = [];
  for (const target of targets) {
    const at = merged.findIndex(({ assign }) => assign !== 0 && assign === target.assign);
    const before = merged[at];
    if (before === undefined) merged.push(target);
    else
      merged[at] = { ...before, expression: afterAssignment(target.expression, before.expression) };
  }
  return merged;
}

/** The sets that one GROUPINGSET stands for, as sort references. */
function expandGroupingSet(set: TreeNode): (readonly number[])[] {
  const content = list(set, 'content');
  switch (int(set, 'kind')) {
    case 0:
      return [[]];
    case 1:
      return [content.map(Number)];
    case 2: {
      const parts = content.filter(isNode).map((part) => expandGroupingSet(part)[0] ?? []);
      return [...parts.keys(), parts.length].reverse().map((count) => parts.slice(0, count).flat());
    }
    case 3: {
      const parts = content.filter(isNode).map((part) => expandGroupingSet(part)[0] ?? []);
      const subsets = Array.from({ length: 2 ** parts.length }, (_, i) => i).reverse();
      return subsets.map((mask) =>
        parts.filter((_, i) => (mask & (1 << (parts.length - 1 - i))) !== 0).flat(),
      );
    }
    default:
      return content.filter(isNode).flatMap((part) => expandGroupingSet(part));
  }
}
