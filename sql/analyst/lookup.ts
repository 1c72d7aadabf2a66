// Small questions that Postgres answers: names of relations and types, values of constant expressions. Shell,
// inside a transaction of the caller's.

import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { AssertionError, SqlError } from '../../ledger/error.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import { queryNodes } from '../node-tree.ts';
import { decodeConstant } from '../node-tree-constant.ts';
import { parseTree, walkTree } from '../node-tree-text.ts';
import { identifier, literal } from './make-up.ts';
import type { Names } from './names.ts';
import type { Postgres } from './postgres.ts';
import type { CatalogResolver } from './resolver.ts';

/**
 * Ledger id of a table, view or sequence by name.
 *
 * @param schema  undefined: found by search_path
 * @returns 0 for what is no relation of the catalog, but there: system catalogs, the views of the ledger, history
 * @throws SqlError 42P01
 */
export function relationByName(
  postgres: Postgres,
  names: Names,
  schema: string | undefined,
  name: string,
): number {
  const full =
    schema === undefined ? identifier(name) : `${identifier(schema)}.${identifier(name)}`;
  const { rows } = postgres.run(
    `select oid from pg_catalog.pg_class where oid = pg_catalog.to_regclass(${literal(full)}) and relkind <> 'i'`,
  );
  if (rows.length > 0) {
    const named = names.relations.get(Number(rows[0]![0]));
    return named === undefined || named.schema === 'history' ? 0 : named.id;
  }
  const shown = schema === undefined ? name : `${schema}.${name}`;
  throw new SqlError(SQLSTATE.undefinedTable, `relation "${shown}" does not exist`);
}

/**
 * OIDs of types by the text of their names, as in PREPARE.
 *
 * @throws SqlError 42704
 */
export function typesByName(postgres: Postgres, texts: readonly string[]): number[] {
  return texts.map((text) => {
    const { rows } = postgres.run(`select ${literal(text)}::pg_catalog.regtype::pg_catalog.oid`);
    return Number(rows[0]?.[0]);
  });
}

/**
 * Values of a list of expressions, each converted to the type wanted.
 *
 * @param list       the expressions' text; it has been found to hold nothing but harmless functions
 * @param typeNames  names of the types for use in SQL, one for each expression
 */
export function evaluateList(
  postgres: Postgres,
  resolver: CatalogResolver,
  list: string,
  types: readonly SqlType[],
  typeNames: readonly string[],
): Datum[] {
  const columns = typeNames.map((_, i) => `c${i}`);
  const converted = columns.map((name, i) => `${name}::${typeNames[i]}::pg_catalog.text`);
  const { rows } = postgres.run(
    `with v(${columns.join(', ')}) as (select ${list}\n) select ${converted.join(', ')} from v`,
  );
  return types.map((type, i) => {
    const text = rows[0]?.[i] ?? null;
    return text === null ? null : constantOf(postgres, text, typeNames[i] ?? '', type, resolver);
  });
}

const FUNCTION = 'constant of a text';

/** Text of a value → Datum, through the constant that Postgres makes of it. */
export function constantOf(
  postgres: Postgres,
  text: string,
  typeName: string,
  type: SqlType,
  resolver: CatalogResolver,
): Datum {
  const name = `pg_temp."${FUNCTION}"`;
  const { rows } = postgres.run(
    `create function ${name}() returns void begin atomic select ${literal(text)}::${typeName}; end; ` +
      `select prosqlbody::text from pg_catalog.pg_proc where proname = '${FUNCTION}'; ` +
      `drop function ${name}()`,
  );
  const values: Datum[] = [];
  walkTree(queryNodes(parseTree(rows[0]?.[0] ?? '()'))[0] ?? null, (node) => {
    const bytes = node.fields.get('constvalue');
    // The value comes first; after it may come the length of the type it is cast to.
    if (node.tag !== 'CONST' || !ArrayBuffer.isView(bytes)) return;
    if (values.length > 0) return;
    values.push(decodeConstant(bytes as Uint8Array, type, (oid) => resolver.enumLabel(oid)));
  });
  const [value] = values;
  if (value === undefined) throw new AssertionError('analyst: constant not found');
  return value;
}
