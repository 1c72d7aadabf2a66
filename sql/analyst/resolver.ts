// Gives the OIDs of a node tree their meaning, from what was read of the mirror. Pure, but for the view
// definitions it fetches.

import { AssertionError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { sqlType } from '../../ledger/type.ts';
import type { Catalog, Table } from '../../ledger/catalog.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { FunctionRef, Scalar } from '../ir.ts';
import { queryNodes } from '../node-tree.ts';
import { XID_OID } from '../value/oid.ts';
import { systemColumn, unsupported } from '../node-tree-scalar.ts';
import type { ResolvedRelation, TreeResolver } from '../node-tree-scalar.ts';
import { isNode, parseTree } from '../node-tree-text.ts';
import type { TreeNode, TreeValue } from '../node-tree-text.ts';
import { toExpression } from '../to-expression.ts';
import { historyColumnIds } from './names.ts';
import type { NamedRelation, Names } from './names.ts';
import type { Postgres } from './postgres.ts';
import { tryBuiltinType } from './type-oid.ts';

/** Built-in functions and operators; they never change while a mirror lives. */
export interface Builtins {
  readonly functions: ReadonlyMap<number, FunctionRef>;
  /** Parameters and their defaults, of the functions that have defaults; the count of all others is 0. */
  readonly parameters: ReadonlyMap<
    number,
    { readonly count: number; readonly defaults: readonly TreeNode[] }
  >;
  /** Types of OUT columns, for functions that return several. */
  readonly outTypes: ReadonlyMap<number, readonly number[]>;
  readonly operators: ReadonlyMap<number, number>;
  readonly types: ReadonlyMap<number, { readonly name: string; readonly arrayOid: number }>;
}

const FUNCTIONS = `
  select p.oid, p.proname, case when l.lanname = 'internal' and p.prokind <> 'a'
      and p.prosrc not in ('aggregate_dummy', '') then p.prosrc else p.proname end,
    p.provolatile, p.proisstrict, p.proretset,
    (select string_agg(t::text, ',' order by i) from unnest(p.proallargtypes) with ordinality a(t, i)
      where p.proargmodes[i] in ('o', 'b', 't')),
    p.pronargs, p.proargdefaults::text
  from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang`;

/** xid is held and compared as oid is, and has no place but in expressions. */
const XID_SYMBOLS: Readonly<Record<string, string>> = { xideq: 'oideq', xidneq: 'oidne' };

const VOLATILITY = { i: 'immutable', s: 'stable', v: 'volatile' } as const;

export function readBuiltins(postgres: Postgres): Builtins {
  const functions = new Map<number, FunctionRef>();
  const outTypes = new Map<number, readonly number[]>();
  const parameters = new Map<number, { count: number; defaults: readonly TreeNode[] }>();
  for (const row of postgres.run(FUNCTIONS).rows) {
    const [oid, name, symbol, volatility, strict, returnsSet, out, count, defaults] = row;
    functions.set(Number(oid), {
      oid: Number(oid),
      name: name ?? '',
      symbol: XID_SYMBOLS[symbol ?? ''] ?? symbol ?? '',
      volatility: VOLATILITY[volatility as keyof typeof VOLATILITY],
      strict: strict === 't',
      returnsSet: returnsSet === 't',
    });
    if (out !== null && out !== undefined) outTypes.set(Number(oid), out.split(',').map(Number));
    if (defaults !== null && defaults !== undefined) {
      const values = (parseTree(defaults) as readonly TreeValue[]).filter(isNode);
      parameters.set(Number(oid), { count: Number(count), defaults: values });
    }
  }
  const types = postgres.run('select oid, typname, typarray from pg_catalog.pg_type').rows;
  const operators = postgres.run('select oid, oprcode::oid from pg_catalog.pg_operator').rows;
  return {
    functions,
    outTypes,
    parameters,
    operators: new Map(operators.map(([oid, fn]) => [Number(oid), Number(fn)])),
    types: new Map(
      types.map(([oid, name, array]) => [
        Number(oid),
        { name: name ?? '', arrayOid: Number(array) },
      ]),
    ),
  };
}

export class CatalogResolver implements TreeResolver {
  readonly #postgres: Postgres;
  readonly #builtins: Builtins;
  readonly #names: Names;
  readonly #catalog: Catalog;
  readonly #views = new Map<number, TreeNode>();
  readonly #arrayTypes: ReadonlyMap<number, number>;

  constructor(postgres: Postgres, builtins: Builtins, names: Names, catalog: Catalog) {
    this.#postgres = postgres;
    this.#builtins = builtins;
    this.#names = names;
    this.#catalog = catalog;
    this.#arrayTypes = new Map([...names.types.values()].map((type) => [type.arrayOid, type.oid]));
  }

  type(oid: number, typmod: number): SqlType {
    const type = this.tryType(oid, typmod);
    if (type === undefined) throw unsupported(`type ${this.#typeName(oid)}`, 'See docs/sql.md.');
    return type;
  }

  /** A type that a column or a domain is to have. */
  storedType(oid: number, typmod: number): SqlType {
    if (oid === XID_OID) throw unsupported('type xid', 'See docs/sql.md.');
    return this.type(oid, typmod);
  }

  /** The type, or undefined when TrustSQL does not have it. */
  tryType(oid: number, typmod: number): SqlType | undefined {
    if (oid === XID_OID) return sqlType('oid');
    const builtin = tryBuiltinType(oid, typmod);
    if (builtin !== undefined) return builtin;
    const element = this.#arrayTypes.get(oid);
    const named = this.#names.types.get(element ?? oid);
    if (named === undefined) return this.#rowType(oid);
    const type = this.#catalog.types.get(named.id);
    if (type === undefined) return undefined;
    const array = element !== undefined;
    if (type.kind === 'enum') return sqlType('enum', -1, array, type.id);
    return { ...type.type, array: array || type.type.array, userType: type.id };
  }

  /** Whole rows of a table or view are records. */
  #rowType(oid: number): SqlType | undefined {
    const array = this.#names.rowTypes.get(oid);
    return array === undefined ? undefined : sqlType('record', -1, array);
  }

  fn(oid: number): FunctionRef {
    const found = this.#builtins.functions.get(oid);
    if (found === undefined) throw unsupported('a function of the user', 'See docs/sql.md.');
    return found;
  }

  operator(oid: number): FunctionRef {
    return this.fn(this.#builtins.operators.get(oid) ?? 0);
  }

  enumLabel(oid: number): string {
    const label = this.#names.enumLabels.get(oid);
    if (label === undefined) throw new AssertionError('analyst: enum label not found');
    return label;
  }

  relation(oid: number): ResolvedRelation {
    const named = this.#names.relations.get(oid);
    if (named === undefined) {
      throw unsupported(
        'a statement over both ledger tables and system catalogs',
        'Ask each in a statement of its own.',
      );
    }
    if (named.schema === 'ledger') return relation('ledgerView', named);
    if (named.schema === 'history') return relation('history', named);
    if (named.id === 0) throw new AssertionError(`analyst: no ledger id for ${named.name}`);
    if (named.kind !== 'v') return relation(named.kind === 'S' ? 'sequence' : 'table', named);
    const checkAs = named.securityInvoker ? null : (this.#names.roles.get(named.owner) ?? null);
    return { kind: 'view', relation: named.id, tree: this.#viewTree(oid), checkAs };
  }

  relationId(oid: number): number {
    return this.#names.relations.get(oid)?.id ?? 0;
  }

  columnId(oid: number, attribute: number): number {
    const named = this.#names.relations.get(oid);
    const own = named?.kind === 'r' && named.schema !== 'ledger' && named.schema !== 'history';
    if (attribute < 0 && !own) throw systemColumn();
    if (named?.schema !== 'history' || attribute < 1) return attribute;
    const table = this.#catalog.relations.get(named.id) as Table;
    return historyColumnIds(named.columns, table)[attribute - 1] ?? attribute;
  }

  functionColumns(oid: number): readonly SqlType[] | null {
    const out = this.#builtins.outTypes.get(oid);
    return out === undefined || out.length < 2 ? null : out.map((type) => this.type(type, -1));
  }

  parameters(oid: number): { readonly count: number; readonly defaults: readonly TreeNode[] } {
    return this.#builtins.parameters.get(oid) ?? { count: 0, defaults: [] };
  }

  constraintIndex(oid: number): number {
    const constraint = this.#names.constraints.get(oid);
    const table = this.#table(this.relationId(constraint?.relation ?? 0));
    const index = table.indexes.find(({ name }) => name === constraint?.name);
    if (index === undefined) throw new AssertionError('analyst: index of a constraint not found');
    return index.id;
  }

  inferIndex(relationId: number, elements: readonly Scalar[], where: Scalar | null): number {
    const wanted = elements.map(keyText).sort().join();
    const predicate = where === null ? null : toExpression(where, () => undefined);
    const index = this.#table(relationId).indexes.find(
      ({ unique, keys, predicate: own }) =>
        unique &&
        (own === null || stable(own) === stable(predicate)) &&
        keys
          .map(({ column, expression }) => (column === null ? stable(expression) : `${column}`))
          .sort()
          .join() === wanted,
    );
    if (index === undefined) {
      throw new SqlError(
        SQLSTATE.invalidColumnReference,
        'there is no unique or exclusion constraint matching the ON CONFLICT specification',
      );
    }
    return index.id;
  }

  #table(id: number): Table {
    const table = this.#catalog.relations.get(id);
    if (table?.kind !== 'table') throw new AssertionError(`analyst: ${id} is not a table`);
    return table;
  }

  #viewTree(oid: number): TreeNode {
    const known = this.#views.get(oid);
    if (known !== undefined) return known;
    const { rows } = this.#postgres.run(
      `select ev_action::text from pg_catalog.pg_rewrite where ev_class = ${oid} and ev_type = '1'`,
    );
    const [tree] = queryNodes(parseTree(rows[0]?.[0] ?? '()'));
    if (tree === undefined) throw new AssertionError('analyst: view without a rule');
    this.#views.set(oid, tree);
    return tree;
  }

  #typeName(oid: number): string {
    return this.#postgres.run(`select pg_catalog.format_type(${oid}, null)`).rows[0]?.[0] ?? '';
  }
}

function relation(
  relationKind: 'table' | 'sequence' | 'ledgerView' | 'history',
  named: NamedRelation,
): ResolvedRelation {
  return { kind: 'relation', relationKind, relation: named.id, columns: named.columns };
}

function keyText(element: Scalar): string {
  return element.kind === 'var'
    ? `${element.column}`
    : stable(toExpression(element, () => undefined));
}

/** Text of a value that is equal for equal values. */
export function stable(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === 'bigint') return `${item}n`;
    if (ArrayBuffer.isView(item)) return [...(item as Uint8Array)];
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
