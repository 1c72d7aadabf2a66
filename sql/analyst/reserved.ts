// What of the mirror is the node's own: no DDL of a client may change it. Shell, inside a transaction of the
// caller's.
//
// (1) The catalog of the ledger has nothing of it, so a change would be forgotten where it did not break the mirror:
//     on every node, for good, since the chain replays it.
// (2) System catalogs are not in here: Postgres guards them itself while allow_system_table_mods is off.

import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { SqlError } from '../../ledger/error.ts';
import type { Postgres } from './postgres.ts';

const RESERVED = `(n.nspname in ('information_schema', 'history', 'ledger') or n.nspname like 'pg\\_%')`;

/** Grants on views of `ledger` and on system views are like any other; history has those of its table. */
const OWN = `
  select 'r', c.oid, relname, n.oid, relowner, relnatts, relhasindex, relchecks,
    case when nspname = 'history' then relacl end::text,
    case when nspname in ('history', 'ledger') then (select string_agg(concat(attname, attacl), ',' order by attnum)
      from pg_attribute where attrelid = c.oid) end
  from pg_class c join pg_namespace n on n.oid = relnamespace
  where ${RESERVED} and nspname not in ('pg_toast', 'pg_temp') and relkind <> 't'
  union all select 't', t.oid, typname, n.oid, typowner, 0, false, 0, null, null
  from pg_type t join pg_namespace n on n.oid = typnamespace where ${RESERVED} and typtype in ('e', 'd', 'm')
  union all select 'p', p.oid, proname, pronamespace, proowner, 0, false, 0, null, null from pg_proc p
  union all select 'n', n.oid, nspname, 0, nspowner, 0, false, 0, null, null from pg_namespace n where ${RESERVED}
  union all select 'e', oid, extname, extnamespace, extowner, 0, false, 0, null, null from pg_extension`;

/** A text that is another after any change of what is the node's own. */
export function ownObjects(postgres: Postgres): string {
  const { rows } = postgres.run(
    `select sum(pg_catalog.hashtextextended(own::text, 0)) from (${OWN}) own`,
  );
  return rows[0]?.[0] ?? '';
}

/** @throws SqlError 42501 when a statement has changed what is the node's own; `before` as `ownObjects` gave it */
export function refuseReserved(postgres: Postgres, before: string): void {
  if (ownObjects(postgres) === before) return;
  throw new SqlError(
    SQLSTATE.insufficientPrivilege,
    'permission denied: the statement changes what belongs to the node',
    {
      detail:
        'Nothing can be made or changed in schemas history, ledger and information_schema, and no system function.',
      hint: 'What is granted on a table holds for its history.',
    },
  );
}
