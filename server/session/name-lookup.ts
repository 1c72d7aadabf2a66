// Names that reach a query as text, looked up while it runs: text to regclass, serial sequences. Pure over the
// session. Names written in statements are the analyst's business.

import type { Relation } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import type { SessionContext } from './context.ts';

/** The schemas of search_path that exist, in order; `$user` is the current role. */
export function existingSchemas(session: SessionContext): string[] {
  const existing = new Set([...session.catalog.schemas.values()].map(({ name }) => name));
  for (const name of BUILT_IN) existing.add(name);
  return nameParts(session.settings.get('search_path'), ',')
    .map((name) => (name === '$user' ? session.currentRole : name))
    .filter((name) => existing.has(name));
}

const BUILT_IN = ['pg_catalog', 'information_schema', 'ledger', 'history'] as const;

/**
 * The relation a text names, as `'…'::regclass` reads it: the negated catalog id, or its digits as an OID.
 *
 * @throws SqlError 42P01, 42602
 */
export function relationByText(session: SessionContext, text: string): Datum {
  if (/^\d+$/.test(text)) return BigInt(text);
  return BigInt(-relationNamed(session, text).id);
}

/** pg_get_serial_sequence: qualified, quoted as needed; null when the column has none. */
export function ownedSequenceName(session: SessionContext, table: string, column: string): Datum {
  const { catalog } = session;
  const relation = relationNamed(session, table);
  const found =
    relation.kind === 'table' ? relation.columns.find(({ name }) => name === column) : undefined;
  if (found === undefined) {
    const message = `column "${column}" of relation "${relation.name}" does not exist`;
    throw new SqlError(SQLSTATE.undefinedColumn, message);
  }
  for (const each of catalog.relations.values()) {
    const owned = each.kind === 'sequence' ? each.ownedBy : null;
    if (owned?.relation !== relation.id || owned.column !== found.id) continue;
    return `${quoteIdentifier(catalog.schemas.get(each.schema)!.name)}.${quoteIdentifier(each.name)}`;
  }
  return null;
}

/** @throws SqlError 42P01 */
export function relationNamed(session: SessionContext, text: string): Relation {
  const parts = nameParts(text, '.');
  const name = parts.at(-1) ?? '';
  const schemas = parts.length > 1 ? [parts.at(-2)!] : existingSchemas(session);
  const { catalog } = session;
  for (const schema of schemas) {
    for (const relation of catalog.relations.values()) {
      if (relation.name === name && catalog.schemas.get(relation.schema)?.name === schema)
        return relation;
    }
  }
  throw new SqlError(SQLSTATE.undefinedTable, `relation "${parts.join('.')}" does not exist`);
}

/** Identifiers separated by a character: folded to lower case unless quoted. */
function nameParts(text: string, separator: string): string[] {
  const parts: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([^".,\s]+))\s*(.|$)/gy;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const [, quoted, plain, next] = match;
    parts.push(quoted === undefined ? plain!.toLowerCase() : quoted.replaceAll('""', '"'));
    if (next === '') return parts;
    if (next !== separator) break;
  }
  if (text.trim() === '') return [];
  throw new SqlError(SQLSTATE.invalidName, 'invalid name syntax');
}

/** A name as quote_ident writes it. */
export function quoteIdentifier(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
