// What the author of a transaction may do, by the grants of the catalog. Pure.
//
// The edge enforces every privilege, down to columns read. Applying a block checks again what can be known
// from the operations alone: that the author, or a role the author is a member of, may write to the table,
// move the sequence, or change the catalog object. So a node that lies gains nothing for its users.

import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError } from '../ledger/error.ts';
import type {
  Catalog,
  CatalogChange,
  Column,
  Grant,
  Relation,
  Role,
  Table,
} from '../ledger/catalog.ts';

const PUBLIC = 0;

const closures = new WeakMap<Catalog, Map<number, ReadonlySet<number>>>();

/** The role, and all it is a member of, directly or not. */
export function rolesOf(catalog: Catalog, role: number): ReadonlySet<number> {
  let known = closures.get(catalog);
  if (known === undefined) closures.set(catalog, (known = new Map()));
  let roles = known.get(role);
  if (roles === undefined) {
    const found = new Set([role]);
    for (const id of found) {
      for (const membership of catalog.roles.get(id)?.memberOf ?? []) found.add(membership.role);
    }
    known.set(role, (roles = found));
  }
  return roles;
}

export function isSuperuser(catalog: Catalog, role: number): boolean {
  const roles = rolesOf(catalog, role);
  for (const id of roles) if (catalog.roles.get(id)?.superuser) return true;
  return false;
}

function owns(catalog: Catalog, role: number, owner: number): boolean {
  return rolesOf(catalog, role).has(owner) || isSuperuser(catalog, role);
}

function granted(
  catalog: Catalog,
  role: number,
  grants: readonly Grant[],
  letter: string,
): boolean {
  const roles = rolesOf(catalog, role);
  return grants.some(
    ({ grantee, privileges }) =>
      (grantee === PUBLIC || roles.has(grantee)) && privileges.includes(letter),
  );
}

/**
 * Refuses a write to a table that its author may not make.
 *
 * @param letter   ACL letter: a insert, w update, d delete, D truncate; r, to read the whole table
 * @param columns  columns updated; a grant on each of them is enough. What the statement named is checked at
 *   the edge: an insert lists every column, those filled with defaults too, and an update only those whose
 *   values differ, maybe none. So for an insert and for an update of none, a grant on any column is enough.
 * @throws SqlError 42501
 */
export function demandTable(
  catalog: Catalog,
  author: number,
  table: Table,
  letter: 'a' | 'w' | 'd' | 'D' | 'r',
  columns: readonly number[],
): void {
  if (owns(catalog, author, table.owner) || granted(catalog, author, table.grants, letter)) return;
  const on = ({ grants }: Column): boolean => granted(catalog, author, grants, letter);
  const written = table.columns.filter(({ id }) => columns.includes(id));
  const covered = letter === 'a' || (letter === 'w' && written.every(on));
  if (covered && table.columns.some(on)) return;
  throw denied('table', table.name);
}

/** @throws SqlError 42501 unless the role holds one of the privileges on the whole relation, by ACL letters */
export function demandAnyOf(
  catalog: Catalog,
  role: number,
  relation: Relation,
  letters: string,
): void {
  const { kind, name, owner, grants } = relation;
  if (owns(catalog, role, owner)) return;
  if ([...letters].some((letter) => granted(catalog, role, grants, letter))) return;
  throw denied(kind, name);
}

/** @throws SqlError 42501 unless the author may use or update the sequence */
export function demandSequence(catalog: Catalog, author: number, sequence: Relation): void {
  const { owner, grants, name } = sequence;
  if (owns(catalog, author, owner)) return;
  if (granted(catalog, author, grants, 'U') || granted(catalog, author, grants, 'w')) return;
  // A serial or identity column moves its sequence for whoever may insert into its table.
  const owned = sequence.kind === 'sequence' ? sequence.ownedBy : null;
  const table = owned === null ? undefined : catalog.relations.get(owned.relation);
  if (table?.kind === 'table' && mayInsertSomething(catalog, author, table)) return;
  throw denied('sequence', name);
}

function mayInsertSomething(catalog: Catalog, author: number, table: Table): boolean {
  return (
    owns(catalog, author, table.owner) ||
    granted(catalog, author, table.grants, 'a') ||
    table.columns.some(({ grants }) => granted(catalog, author, grants, 'a'))
  );
}

/** @throws SqlError 42501 unless the author may make this change of the catalog */
export function demandChange(catalog: Catalog, author: number, change: CatalogChange): void {
  if (isSuperuser(catalog, author)) return;
  const kind = 'put' in change ? change.put : change.drop;
  const id = 'put' in change ? change.object.id : change.id;
  if (kind === 'role') {
    const after = 'put' in change && change.put === 'role' ? change.object : null;
    return demandRoleChange(catalog, author, catalog.roles.get(id), after);
  }
  const maps = { schema: catalog.schemas, relation: catalog.relations, type: catalog.types };
  const before = maps[kind].get(id);
  const after = 'put' in change ? (change.object as { owner: number; name: string }) : null;
  if (before !== undefined) {
    if (owns(catalog, author, before.owner)) return;
    // Those who hold a grant option may pass it on, and nothing else.
    if (kind !== 'type' && after !== null && onlyGrantsDiffer(before, after)) {
      const { grants } = before as { grants: readonly Grant[] };
      const roles = rolesOf(catalog, author);
      if (grants.some(({ grantee, grantable }) => roles.has(grantee) && grantable !== '')) return;
    }
    throw new SqlError(SQLSTATE.insufficientPrivilege, `must be owner of ${kind} ${before.name}`);
  }
  if (after === null) return;
  const roles = rolesOf(catalog, author);
  if (!roles.has(after.owner)) throw denied(kind, after.name);
  const schema = catalog.schemas.get((after as { schema?: number }).schema ?? -1);
  if (schema === undefined || owns(catalog, author, schema.owner)) return;
  if (!granted(catalog, author, schema.grants, 'C')) throw denied('schema', schema.name);
}

function demandRoleChange(
  catalog: Catalog,
  author: number,
  before: Role | undefined,
  after: Role | null,
): void {
  const roles = rolesOf(catalog, author);
  const manages = [...roles].some((id) => catalog.roles.get(id)?.createRole);
  const privileged = before?.superuser === true || after?.superuser === true;
  if (manages && !privileged) return;
  if (before !== undefined && after !== null) {
    // Everyone may change their own password and key.
    const { publicKey, custody, verifierCommitment } = after;
    const own = { ...before, publicKey, custody, verifierCommitment };
    if (before.id === author && sameExcept(own, after)) return;
    const admin = [...roles].some((id) =>
      catalog.roles.get(id)?.memberOf.some((membership) => membership.admin),
    );
    if (admin && sameExcept({ ...before, memberOf: after.memberOf }, after)) return;
  }
  throw new SqlError(SQLSTATE.insufficientPrivilege, 'permission denied to change role');
}

function onlyGrantsDiffer(before: object, after: object): boolean {
  const strip = (_: string, value: unknown): unknown => (_ === 'grants' ? null : plain(value));
  return JSON.stringify(before, strip) === JSON.stringify(after, strip);
}

function sameExcept(expected: object, actual: object): boolean {
  const byName = ([left]: [string, unknown], [right]: [string, unknown]): number =>
    left < right ? -1 : left > right ? 1 : 0;
  const whole = (_: string, value: unknown): unknown => plain(value);
  const sorted = (value: object): string =>
    JSON.stringify(Object.entries(value).sort(byName), whole);
  return sorted(expected) === sorted(actual);
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}

function denied(kind: string, name: string): SqlError {
  return new SqlError(SQLSTATE.insufficientPrivilege, `permission denied for ${kind} ${name}`);
}
