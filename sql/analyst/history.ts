// Schema history in the mirror: for each table a view with its columns and those of HISTORY_COLUMNS. Shell.
//
// (1) They follow from the tables of the mirror alone, so that they can be there while DDL is replayed: what it makes
//     may read them.
// (2) One whose columns are as they were stays, since views may depend on it. Another is made anew, and Postgres
//     refuses the statement where one does.
// (3) They do not hold on to the types of their columns.

import { LIMITS } from '../../ledger/limits.ts';
import { USER_SCHEMA } from './introspect.ts';
import { adopt, identifier, literal } from './make-up.ts';
import { HISTORY_COLUMNS } from './names.ts';
import type { Postgres } from './postgres.ts';

const OWN = HISTORY_COLUMNS.map(([name, type], i) => `(${i}, '${name}', '${type}'::regtype)`);

/** The name of a shadow is that of `historyName`. Postgres has no room for its columns beside very many of a table. */
const TABLES = `
  select distinct on (name) c.oid, relowner, relacl,
    case when nspname = 'public' then relname else (nspname || '_' || relname)::name end as name
  from pg_class c join pg_namespace n on n.oid = relnamespace
  where relkind = 'r' and ${USER_SCHEMA} and (select count(*) from pg_attribute
    where attrelid = c.oid and attnum > 0 and not attisdropped) <= ${LIMITS.columnsMax - HISTORY_COLUMNS.length}
  order by name, c.oid desc`;
const SHADOWS = `
  select oid, relname as name, relowner, relacl from pg_class
  where relnamespace = 'history'::regnamespace and relkind = 'v'`;

const columnsOf = (relation: string): string => `
  (select string_agg(format('null::%s as %I', format_type(atttypid, atttypmod), attname), ', ' order by attnum)
   from pg_attribute where attrelid = ${relation}.oid and attnum > 0 and not attisdropped)`;
const STALE = `
  with t as (
      select name, concat_ws(', ', ${columnsOf('tables')},
        (select string_agg(format('null::%s as %I', format_type(type, -1), own), ', ' order by i)
          from (values ${OWN.join(', ')}) v(i, own, type) where not exists (select from pg_attribute
            where attrelid = tables.oid and attname = own and not attisdropped))) as columns
      from (${TABLES}) tables),
    s as (select name, ${columnsOf('shadows')} as columns from (${SHADOWS}) shadows)
  select name, s.columns is not null, t.columns from t full join s using (name)
  where t.columns is distinct from s.columns`;

const grantsOf = (relation: string): string => `
  concat_ws(' ', ${relation}.relowner, ${relation}.relacl, (select string_agg(attname || attacl::text, ' ' order by attname)
    from pg_attribute where attrelid = ${relation}.oid and attacl is not null and attnum > 0))`;
const REGRANTED = `
  select name from (${TABLES}) t join (${SHADOWS}) s using (name) where ${grantsOf('t')} <> ${grantsOf('s')}`;

/** Brings schema history up to date with the tables. */
export function maintainHistory(postgres: Postgres): void {
  const changed = new Set<string>();
  for (const [name, present, columns] of postgres.run(STALE).rows) {
    const full = `history.${identifier(name ?? '')}`;
    if (present === 't') drop(postgres, full);
    if (columns === null || columns === undefined) continue;
    postgres.run(`create view ${full} as select ${columns} where false`);
    changed.add(name ?? '');
  }
  for (const [name] of postgres.run(REGRANTED).rows) changed.add(name ?? '');
  if (changed.size > 0) own(postgres, [...changed]);
}

function drop(postgres: Postgres, full: string): void {
  postgres.run(`
    delete from pg_catalog.pg_depend where objid = ${literal(full)}::regclass and deptype = 'e';
    delete from pg_catalog.pg_init_privs where objoid = ${literal(full)}::regclass;
    drop view ${full}`);
}

/** Gives shadows to the owners of their tables and to the extension, with the grants of the tables. */
function own(postgres: Postgres, names: readonly string[]): void {
  const list = names.map(literal).join(', ');
  const oids = `(select oid from (${SHADOWS}) s where name in (${list}))`;
  postgres.run(`
    update pg_catalog.pg_class s set relowner = t.relowner, relacl = t.relacl from (${TABLES}) t
      where s.oid in ${oids} and s.relname = t.name;
    update pg_catalog.pg_attribute a set attacl = b.attacl
      from (${TABLES}) t join (${SHADOWS}) s using (name) join pg_catalog.pg_attribute b on b.attrelid = t.oid
      where name in (${list}) and a.attrelid = s.oid and a.attname = b.attname and a.attnum > 0;
    delete from pg_catalog.pg_depend where refclassid = 'pg_type'::regclass
      and (objid in ${oids} or objid in (select oid from pg_catalog.pg_rewrite where ev_class in ${oids}));
    delete from pg_catalog.pg_depend where objid in ${oids} and deptype = 'e';
    delete from pg_catalog.pg_init_privs where objoid in ${oids};`);
  adopt(postgres, `c.oid in ${oids}`);
}
