// The mirror: a Postgres with the ledger's schema and none of its rows. Shell; lives in the worker thread.
//
// (1) Between calls the mirror holds exactly the DDL of the chain, or an open transaction with the pending
//     DDL of one session on top of it, kept because its next statement is likely to want it again.
// (2) Nothing of a call outlives it but what `load` and `applyDdl` do.
// (3) The mirror never holds a row of a user, nor a password.

import { EMPTY_CATALOG, ID } from '../../ledger/catalog.ts';
import type { Catalog } from '../../ledger/catalog.ts';
import { SqlError, isSqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import type {
  Analysis,
  AnalysisContext,
  DdlAnalysis,
  DdlRecord,
  DescribedColumn,
} from '../analysis.ts';
import type { Query, Scalar } from '../ir.ts';
import { unsupported } from '../node-tree-scalar.ts';
import { readExpression, readQuery } from '../node-tree.ts';
import { parseTree, walkTree } from '../node-tree-text.ts';
import type { TreeNode } from '../node-tree-text.ts';
import { parseStatement, useCatalogViews } from '../parse.ts';
import type { RawNode } from '../parse.ts';
import { runnable, sessionOnly } from './allow-list.ts';
import { refuseCollations } from './collation.ts';
import { analyseChange, runnableDdl } from './ddl.ts';
import { evaluateList, relationByName, typesByName } from './lookup.ts';
import { maintainHistory } from './history.ts';
import { identifier, literal, makeUp, setUp, withCatalogs } from './make-up.ts';
import { readNames } from './names.ts';
import type { Names } from './names.ts';
import { checkNeeds, needsOf } from './permission.ts';
import type { Need } from './permission.ts';
import { Postgres } from './postgres.ts';
import type { Description } from './postgres.ts';
import { CatalogResolver, readBuiltins } from './resolver.ts';
import type { Builtins } from './resolver.ts';
import { statementTree } from './statement-tree.ts';
import { sqlType } from '../../ledger/type.ts';

/** The catalog at one moment and what the mirror's OIDs mean in it. */
export interface MirrorState {
  readonly catalog: Catalog;
  readonly names: Names;
  readonly resolver: CatalogResolver;
  /** How many the ledger has: what a table is spread over unless it says otherwise. */
  readonly stateShards: number;
}

/** What the main thread needs to translate OIDs. */
export interface OidTable {
  readonly catalogVersion: number;
  /** [OID, ledger id] of tables, views and sequences. */
  readonly relations: readonly (readonly [number, number])[];
  /** [OID, array OID, ledger id] of enums and domains. */
  readonly types: readonly (readonly [number, number, number])[];
}

/** A default expression by column id. */
export interface ColumnDefault {
  readonly column: number;
  readonly expression: Scalar;
}

export interface CatalogAnswer {
  readonly columns: readonly DescribedColumn[];
  /** Finished DataRow messages, back to back. */
  readonly dataRows: Uint8Array;
  readonly count: number;
  readonly tag: string;
}

/** Settings of a session that change how Postgres reads or prints values. */
const SETTINGS: ReadonlySet<string> = new Set([
  'timezone',
  'datestyle',
  'intervalstyle',
  'extra_float_digits',
  'bytea_output',
  'xmloption',
  'quote_all_identifiers',
  'application_name',
  'trustsql.statements',
  'trustsql.cursors',
  'trustsql.sessions',
  'trustsql.pid',
  'trustsql.in_recovery',
  'trustsql.client_addr',
  'trustsql.client_port',
]);

export class Mirror {
  readonly #postgres: Postgres;
  readonly #builtins: Builtins;
  #base: MirrorState;
  #stateShards = 1;
  #pending: { readonly records: readonly DdlRecord[]; readonly state: MirrorState } | null = null;

  private constructor(postgres: Postgres) {
    this.#postgres = postgres;
    this.#builtins = readBuiltins(postgres);
    this.#base = this.#stateOf(EMPTY_CATALOG);
  }

  /** A mirror of an empty ledger. */
  static async start(database: string): Promise<Mirror> {
    const postgres = await Postgres.start(null);
    makeUp(postgres, database);
    return new Mirror(postgres);
  }

  /** The mirror that `dump` was called on, before its next `load`. */
  static async reopen(
    database: string,
    admin: string,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<Mirror> {
    const postgres = await Postgres.start({ bytes, database, admin });
    setUp(postgres);
    return new Mirror(postgres);
  }

  dump(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#postgres.dump();
  }

  close(): Promise<void> {
    return this.#postgres.close();
  }

  /** Replays the chain's DDL, oldest first; `catalog` is what it led to. */
  load(catalog: Catalog, records: readonly DdlRecord[], stateShards: number): OidTable {
    this.#stateShards = stateShards;
    const admin = catalog.roles.get(ID.adminRole)?.name ?? records[0]?.role;
    withCatalogs(this.#postgres, () => {
      if (admin !== undefined) {
        const name = literal(admin);
        this.#postgres.run(`update pg_catalog.pg_authid set rolname = ${name} where oid = 10`);
      }
      this.#replay(records);
    });
    this.#base = this.#stateOf(catalog);
    return this.oids();
  }

  oids(): OidTable {
    const { names, catalog } = this.#base;
    const own = [...names.relations.values()].filter(({ schema }) => schema !== 'history');
    return {
      catalogVersion: catalog.version,
      relations: own.map(({ oid, id }) => [oid, id]),
      types: [...names.types.values()].map(({ oid, arrayOid, id }) => [oid, arrayOid, id]),
    };
  }

  analyse(text: string, parameterOids: readonly number[], context: AnalysisContext): Analysis {
    return this.#within(context, (state) => {
      const own = useCatalogViews(oneQuery(text));
      const described = this.#postgres.describe(own, parameterOids);
      const tree = this.#treeOf(own, described, state);
      const needs: Need[] = [];
      const relations = this.#collect(tree, context.role, state, needs);
      this.#checkNeeds(needs, state);
      const catalogOnly =
        !relations.some((oid) => state.names.relations.has(oid)) &&
        tree.fields.get('commandType') === '1' &&
        !sessionOnly(tree, state.resolver, text, relations.length > 0);
      return {
        parameters: described.parameterOids.map((oid) => ({
          typeOid: oid,
          type: state.resolver.tryType(oid, -1) ?? sqlType('text'),
        })),
        columns: columnsOf(described, state),
        query: this.#queryOf(tree, state, catalogOnly),
        catalogOnly,
      };
    });
  }

  /** A catalog query may hold nodes that we do not read: Postgres itself answers it. */
  #queryOf(tree: TreeNode, state: MirrorState, catalogOnly: boolean): Query | null {
    try {
      return readQuery(tree, state.resolver);
    } catch (error) {
      if (catalogOnly && isSqlError(error)) return null;
      throw error;
    }
  }

  /** Resolved DEFAULT expressions of a table; a domain's default counts where the column has none. */
  defaults(relation: number, context: AnalysisContext): readonly ColumnDefault[] {
    return this.#within(context, ({ names, resolver }) => {
      const oid = [...names.relations.values()].find(
        ({ id, schema }) => id === relation && schema !== 'history',
      )?.oid;
      if (oid === undefined) return [];
      const { rows } = this.#postgres.run(
        `select a.attnum, coalesce(d.adbin::text, t.typdefaultbin::text)
         from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
           left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where a.attrelid = ${oid} and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
           and (d.adbin is not null or t.typdefaultbin is not null)`,
      );
      return rows.map(([column, text]) => ({
        column: Number(column),
        expression: readExpression(parseTree(text ?? '') as TreeNode, resolver),
      }));
    });
  }

  /** Runs DDL, reads what it changed, and takes it back. */
  analyseDdl(text: string, context: AnalysisContext): DdlAnalysis {
    return this.#within(context, (state) => this.#change(recordOf(text, context), state).analysis);
  }

  /** Runs DDL that the chain has accepted, for good; `catalog` is what all of it leads to. */
  applyDdl(records: readonly DdlRecord[], catalog: Catalog): OidTable {
    this.#leavePending();
    withCatalogs(this.#postgres, () => this.#replay(records));
    this.#base = this.#stateOf(catalog);
    return this.oids();
  }

  /** Answers a SELECT over system catalogs by running it, read only and rolled back. */
  catalogQuery(
    text: string,
    parameterOids: readonly number[],
    values: readonly (Uint8Array | null)[],
    formats: readonly number[],
    resultFormats: readonly number[],
    context: AnalysisContext,
  ): CatalogAnswer {
    return this.#within(context, (state) => {
      const own = useCatalogViews(oneQuery(text));
      const described = this.#postgres.describe(own, parameterOids);
      // The function that holds the tree must be gone before the query looks at the catalogs.
      this.#postgres.run('savepoint tree');
      const tree = this.#treeOf(own, described, state);
      this.#postgres.run('rollback to tree; release tree; set transaction_read_only = on');
      runnable(tree, state.resolver, text);
      const answer = this.#postgres.execute(own, parameterOids, values, formats, resultFormats);
      return { columns: columnsOf(described, state) ?? [], ...answer };
    });
  }

  /** Ledger id of a relation by name; 0 when it is one that the catalog does not hold. */
  relationId(schema: string | undefined, name: string, context: AnalysisContext): number {
    return this.#within(context, ({ names }) =>
      relationByName(this.#postgres, names, schema, name),
    );
  }

  /** OIDs of types by the texts of their names. */
  typeOids(texts: readonly string[], context: AnalysisContext): readonly number[] {
    return this.#within(context, () => typesByName(this.#postgres, texts));
  }

  /** Values of the arguments of EXECUTE, a list of expressions without tables. */
  evaluate(list: string, typeOids: readonly number[], context: AnalysisContext): readonly Datum[] {
    return this.#within(context, (state) => {
      const { names, resolver } = state;
      const text = oneQuery(`select ${list}`);
      const described = this.#postgres.describe(text, []);
      const tree = this.#treeOf(text, described, { ...state, catalog: this.#base.catalog });
      if (tree.fields.get('rtable') !== null || described.fields?.length !== typeOids.length) {
        throw new SqlError(SQLSTATE.syntaxError, 'wrong number of parameters', {
          detail: `Expected ${typeOids.length} parameters but got ${described.fields?.length ?? 0}.`,
        });
      }
      runnable(tree, resolver, text);
      const types = typeOids.map((oid) => resolver.type(oid, -1));
      const typeNames = typeOids.map((oid) => this.#typeName(oid, names));
      return evaluateList(this.#postgres, resolver, list, types, typeNames);
    });
  }

  // ---- transactions ----

  /** Calls `work` with the session's names, role and settings in force, and takes back all it did. */
  #within<T>(context: AnalysisContext, work: (state: MirrorState) => T): T {
    const state = this.#enterPending(context.pendingDdl);
    const nested = this.#pending !== null;
    this.#postgres.run(nested ? 'savepoint call' : 'begin');
    try {
      this.#postgres.run(sessionSettings(context));
      return work(state);
    } finally {
      this.#postgres.run(nested ? 'rollback to call; release call' : 'rollback');
    }
  }

  #enterPending(records: readonly DdlRecord[]): MirrorState {
    if (records.length === 0) {
      this.#leavePending();
      return this.#base;
    }
    if (this.#pending !== null && !startsWith(records, this.#pending.records)) this.#leavePending();
    if (this.#pending === null) {
      this.#postgres.run('begin');
      this.#pending = { records: [], state: this.#base };
    }
    try {
      for (const record of records.slice(this.#pending.records.length)) {
        const { state } = this.#change(record, this.#pending.state);
        this.#pending = { records: [...this.#pending.records, record], state };
      }
    } catch (error) {
      this.#leavePending();
      throw error;
    }
    return this.#pending.state;
  }

  #leavePending(): void {
    if (this.#pending === null) return;
    this.#pending = null;
    this.#postgres.run('rollback');
  }

  /** Runs one DDL statement inside the open transaction. */
  #change(record: DdlRecord, state: MirrorState): { analysis: DdlAnalysis; state: MirrorState } {
    const { analysis, catalog } = analyseChange(this.#postgres, this.#builtins, record, state);
    withCatalogs(this.#postgres, () => maintainHistory(this.#postgres));
    return { analysis, state: this.#stateOf(catalog) };
  }

  /** Runs DDL as its authors, outside of any check. */
  #replay(records: readonly DdlRecord[]): void {
    for (const record of records) {
      const { text } = runnableDdl(record.text);
      if (text === '') continue;
      // It may read the history of tables that were made just before.
      if (/history/i.test(record.searchPath + text)) maintainHistory(this.#postgres);
      this.#run(record, text);
      this.#postgres.run('reset session authorization; reset role; reset search_path');
    }
    maintainHistory(this.#postgres);
  }

  #run(record: DdlRecord, text: string): void {
    this.#postgres.run(
      `select pg_catalog.trustsql_set('search_path', ${literal(record.searchPath)}, false), ` +
        `pg_catalog.trustsql_set('role', ${literal(record.role)}, false)`,
    );
    this.#postgres.run(text);
  }

  // ---- trees ----

  #treeOf(text: string, described: Description, { names }: MirrorState): TreeNode {
    return statementTree(
      this.#postgres,
      text,
      described.parameterOids,
      (oid) => this.#typeName(oid, names),
      (oid) => names.types.get(oid)?.arrayOid ?? this.#builtins.types.get(oid)?.arrayOid ?? 0,
    );
  }

  /** A type's name for use in SQL, whatever the search_path. */
  #typeName(oid: number, { types }: Names): string {
    const named = types.get(oid);
    if (named !== undefined) return `${identifier(named.schema)}.${identifier(named.name)}`;
    const builtin = this.#builtins.types.get(oid)?.name;
    if (builtin !== undefined) return `pg_catalog.${identifier(builtin)}`;
    // The array of an enum or a domain.
    return this.#postgres.run(`select ${oid}::pg_catalog.regtype`).rows[0]?.[0] ?? 'unknown';
  }

  /** OIDs of all relations a statement reads or writes, through views; their needs go into `needs`. */
  #collect(tree: TreeNode, role: string, state: MirrorState, needs: Need[]): number[] {
    needs.push(...needsOf(tree, role));
    const oids = new Set<number>();
    walkTree(tree, (node) => {
      if (node.tag === 'RANGETBLENTRY' && node.fields.get('rtekind') === '0') {
        oids.add(Number(node.fields.get('relid')));
      }
    });
    const inner = [...oids].flatMap((oid) => {
      const named = state.names.relations.get(oid);
      if (named?.kind !== 'v' || OWN_SCHEMAS.has(named.schema)) return [];
      const resolved = state.resolver.relation(oid);
      if (resolved.kind !== 'view') return [];
      const owner = state.names.roleNames.get(named.owner) ?? role;
      return this.#collect(resolved.tree, named.securityInvoker ? role : owner, state, needs);
    });
    return [...oids, ...inner];
  }

  #checkNeeds(needs: readonly Need[], { names }: MirrorState): void {
    checkNeeds(
      this.#postgres,
      needs.filter(({ role }) => !names.superusers.has(role)),
    );
  }

  #stateOf(catalog: Catalog): MirrorState {
    const names = readNames(this.#postgres, catalog);
    return {
      catalog,
      names,
      resolver: new CatalogResolver(this.#postgres, this.#builtins, names, catalog),
      stateShards: this.#stateShards,
    };
  }
}

/** Whose views are none to Postgres' mind alone. */
const OWN_SCHEMAS: ReadonlySet<string> = new Set(['ledger', 'history']);

const QUERIES: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
]);

/**
 * The text up to the end of the one statement there is; positions in it stay as they are. It becomes part of a larger text for Postgres, so it must be one
 * whole statement by Postgres' own grammar, with standard_conforming_strings on in both places.
 */
function oneQuery(text: string): string {
  const statement = parseStatement(text);
  if (!QUERIES.has(statement.kind)) {
    throw unsupported(`analysing ${statement.kind.replace(/Stmt$/, '').toUpperCase()}`);
  }
  if (intoOf(statement.tree) !== undefined) {
    throw unsupported('SELECT … INTO', 'Use CREATE TABLE … AS.');
  }
  refuseCollations(text);
  return text.slice(0, statement.start + statement.text.length);
}

/** INTO of a SELECT: in a set operation, that of its first one. */
function intoOf(tree: RawNode): unknown {
  const left = tree['larg'] as RawNode | undefined;
  return tree['intoClause'] ?? (left === undefined ? undefined : intoOf(left));
}

/** DDL that is tried in the light of a session. */
function recordOf(text: string, context: AnalysisContext): DdlRecord {
  return { role: context.role, searchPath: context.searchPath, text };
}

function startsWith(records: readonly DdlRecord[], start: readonly DdlRecord[]): boolean {
  return start.every((record, i) => {
    const other = records[i];
    return (
      other !== undefined &&
      other.text === record.text &&
      other.role === record.role &&
      other.searchPath === record.searchPath
    );
  });
}

function sessionSettings(context: AnalysisContext): string {
  const settings: (readonly [string, string])[] = [
    ['search_path', context.searchPath],
    ...[...context.settings].filter(([name]) => SETTINGS.has(name)),
    ['session_authorization', context.sessionRole],
    ['role', context.role],
  ];
  const calls = settings.map(
    ([name, value]) => `pg_catalog.trustsql_set(${literal(name)}, ${literal(value)}, true)`,
  );
  return `select ${calls.join(', ')}`;
}

function columnsOf(described: Description, { resolver }: MirrorState): DescribedColumn[] | null {
  return (
    described.fields?.map(({ name, typeOid, typmod, tableOid, columnNumber }) => ({
      name,
      typeOid,
      typmod,
      tableOid,
      columnNumber,
      // Types that only catalogs have go to the client as Postgres prints them.
      type: resolver.tryType(typeOid, typmod) ?? sqlType('text'),
    })) ?? null
  );
}
