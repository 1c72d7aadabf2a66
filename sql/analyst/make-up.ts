// Makes a fresh Postgres into a mirror: names, version, schemas `ledger` and `history`. Shell.
//
// The schemas, and all in them, belong to extension plpgsql, so that pg_dump leaves them out.

import { LEDGER_VIEWS } from '../ledger-schema.ts';
import { COLLATIONS } from './collation.ts';
import type { Postgres } from './postgres.ts';

/** What the node says it is; PostgreSQL 15 is what the catalogs are shaped as. */
export const SERVER_VERSION = '15.18';
const SERVER_VERSION_NUM = '150018';
/** What version() says. */
export const VERSION = `PostgreSQL ${SERVER_VERSION} (TrustSQL 0.1.0)`;

/** Catalogs whose columns or rows have changed since 15, with the columns they had. */
const CATALOGS_OF_15 = {
  // A target of statistics that is null would be 0 to pg_dump: no statistics at all.
  pg_attribute:
    'attrelid, attname, atttypid, coalesce(attstattarget, -1)::int4 as attstattarget, attlen, attnum, ' +
    'attndims::int4, -1 as attcacheoff, atttypmod, attbyval, attalign, attstorage, attcompression, ' +
    'attnotnull, atthasdef, atthasmissing, attidentity, attgenerated, attisdropped, attislocal, ' +
    'attinhcount::int4, attcollation, attacl, attoptions, attfdwoptions, attmissingval',
  pg_constraint:
    'oid, conname, connamespace, contype, condeferrable, condeferred, convalidated, conrelid, contypid, ' +
    'conindid, conparentid, confrelid, confupdtype, confdeltype, confmatchtype, conislocal, ' +
    'coninhcount::int4, connoinherit, conkey, confkey, conpfeqop, conppeqop, conffeqop, confdelsetcols, ' +
    'conexclop, conbin',
  pg_database:
    'oid, datname, datdba, encoding, datlocprovider, datistemplate, ' +
    '(datallowconn and not datistemplate) as datallowconn, datconnlimit, ' +
    'datfrozenxid, datminmxid, dattablespace, datcollate, datctype, datlocale as daticulocale, ' +
    'datcollversion, datacl',
  pg_collation:
    'oid, collname, collnamespace, collowner, collprovider, collisdeterministic, collencoding, ' +
    'collcollate, collctype, colllocale as colliculocale, collversion',
  pg_statistic_ext:
    'oid, stxrelid, stxname, stxnamespace, stxowner, coalesce(stxstattarget, -1)::int4 as stxstattarget, ' +
    'stxkeys, stxkind, stxexprs',
} as const;

/** Rows of those catalogs that there were in 15, or that mean something here. */
const ROWS_OF_15: Readonly<Record<string, string>> = {
  pg_constraint: "contype <> 'n'",
  pg_collation: `collname in (${COLLATIONS.map((name) => `'${name}'`).join(', ')})`,
};

export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return text.includes('\\') ? ` E${quoted}` : quoted;
}

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Settings that every mirror runs with; an image does not keep them. */
export function setUp(postgres: Postgres): void {
  postgres.run('set client_min_messages = notice');
}

/** Runs `work` where system catalogs may be changed, which no DDL of a client may. */
export function withCatalogs(postgres: Postgres, work: () => void): void {
  postgres.run('set allow_system_table_mods = on');
  work();
  // Not where it has failed: the transaction's end takes it back.
  postgres.run('set allow_system_table_mods = off');
}

export function makeUp(postgres: Postgres, database: string): void {
  setUp(postgres);
  withCatalogs(postgres, () => make(postgres, database));
}

function make(postgres: Postgres, database: string): void {
  postgres.run(
    `update pg_catalog.pg_database set datname = ${literal(database)} where datname = current_database();`,
  );
  postgres.run(`
    create or replace function pg_catalog.version() returns text language sql stable parallel safe
      as $$ select ${literal(VERSION)}::text $$;
    create function pg_catalog.trustsql_setting(text, bool) returns text language internal stable
      as 'show_config_by_name_missing_ok';
    create or replace function pg_catalog.current_setting(text) returns text language sql stable parallel safe as $$
      select case lower($1) when 'server_version' then '${SERVER_VERSION}'
        when 'server_version_num' then '${SERVER_VERSION_NUM}'
        else pg_catalog.trustsql_setting($1, false) end $$;
    create or replace function pg_catalog.current_setting(text, bool) returns text language sql stable parallel safe as $$
      select case lower($1) when 'server_version' then '${SERVER_VERSION}'
        when 'server_version_num' then '${SERVER_VERSION_NUM}'
        else pg_catalog.trustsql_setting($1, $2) end $$;
    create function pg_catalog.trustsql_set(text, text, bool) returns text language internal volatile
      as 'set_config_by_name';
    create or replace function pg_catalog.set_config(text, text, bool) returns text language sql volatile
      as $$ select $2 $$;`);
  postgres.run(SESSION_VIEWS);
  for (const [name, columns] of Object.entries(CATALOGS_OF_15)) {
    const from = `from pg_catalog.${name} where ${ROWS_OF_15[name] ?? 'true'}`;
    postgres.run(`create view pg_catalog.${name}_15 as select ${columns} ${from};
      create view pg_catalog.${name}_15_system as select ${columns}, tableoid, xmin, ctid ${from};
      grant select on pg_catalog.${name}_15, pg_catalog.${name}_15_system to public;`);
  }
  adopt(postgres, "c.relnamespace = 'pg_catalog'::regnamespace and c.relname ~ '_15(_system)?$'");
  withoutNotNull(postgres, 'constraint_column_usage');
  postgres.run('create schema ledger; create schema history;');
  for (const { name, columns, description } of LEDGER_VIEWS) {
    const list = columns.map((column) => `null::${column.type} as ${identifier(column.name)}`);
    postgres.run(`create view ledger.${identifier(name)} as select ${list.join(', ')} where false;
      comment on view ledger.${identifier(name)} is ${literal(description)};
      grant select on ledger.${identifier(name)} to public;`);
  }
  postgres.run(LEDGER_FUNCTIONS);
  postgres.run(`grant usage on schema ledger, history to public;
    comment on schema ledger is 'the ledger itself'; comment on schema history is 'row versions of every table';`);
  adopt(postgres, "c.relnamespace = 'ledger'::regnamespace");
  postgres.run(`insert into pg_catalog.pg_depend
      select 'pg_namespace'::regclass, oid, 0, 'pg_extension'::regclass,
        (select oid from pg_catalog.pg_extension where extname = 'plpgsql'), 0, 'e'
      from pg_catalog.pg_namespace where nspname in ('ledger', 'history');
    insert into pg_catalog.pg_init_privs
      select oid, 'pg_namespace'::regclass, 0, 'e', nspacl from pg_catalog.pg_namespace
      where nspname in ('ledger', 'history');
    insert into pg_catalog.pg_depend
      select 'pg_proc'::regclass, oid, 0, 'pg_extension'::regclass,
        (select oid from pg_catalog.pg_extension where extname = 'plpgsql'), 0, 'e'
      from pg_catalog.pg_proc where pronamespace = 'ledger'::regnamespace;`);
}

/** A view of information_schema as 15 has it: NOT NULL is no constraint. */
function withoutNotNull(postgres: Postgres, view: string): void {
  const { rows } = postgres.run(
    `select definition from pg_catalog.pg_views where schemaname = 'information_schema' and viewname = '${view}'`,
  );
  const old = rows[0]?.[0] ?? '';
  const definition = old.replaceAll(
    /\bpg_constraint (?=\w)/g,
    'pg_catalog.pg_constraint_15_system ',
  );
  postgres.run(`create or replace view information_schema.${view} as ${definition}`);
}

/** Microseconds since 2000-01-01 as a timestamp. */
function instant(micros: string): string {
  return `timestamptz '2000-01-01 00:00:00+00' + s.${micros} * interval '1 microsecond'`;
}

/** What the node knows of its sessions comes with the call, in settings of ours (server/session/execute-catalog.ts). */
const SESSION_VIEWS = `
  create or replace function pg_catalog.pg_prepared_statement(out name text, out statement text,
      out prepare_time timestamptz, out parameter_types regtype[], out result_types regtype[],
      out from_sql bool, out generic_plans int8, out custom_plans int8)
    returns setof record language sql stable as $$
      select name, statement, null::timestamptz, parameter_types::regtype[], result_types::regtype[],
        null::bool, 0::int8, 0::int8
      from pg_catalog.json_to_recordset(
        coalesce(pg_catalog.trustsql_setting('trustsql.statements', true), '[]')::json)
        as held (name text, statement text, parameter_types oid[], result_types oid[]) $$;
  create or replace function pg_catalog.pg_cursor(out name text, out statement text, out is_holdable bool,
      out is_binary bool, out is_scrollable bool, out creation_time timestamptz)
    returns setof record language sql stable as $$
      select name, statement, is_holdable, is_binary, null::bool, null::timestamptz
      from pg_catalog.json_to_recordset(
        coalesce(pg_catalog.trustsql_setting('trustsql.cursors', true), '[]')::json)
        as held (name text, statement text, is_holdable bool, is_binary bool) $$;
  create or replace function pg_catalog.pg_backend_pid() returns int4 language sql stable
    as $$ select pg_catalog.trustsql_setting('trustsql.pid', true)::int4 $$;
  create or replace function pg_catalog.pg_is_in_recovery() returns bool language sql volatile
    as $$ select coalesce(pg_catalog.trustsql_setting('trustsql.in_recovery', true), 'off')::bool $$;
  create or replace function pg_catalog.inet_client_addr() returns inet language sql stable
    as $$ select nullif(pg_catalog.trustsql_setting('trustsql.client_addr', true), '')::inet $$;
  create or replace function pg_catalog.inet_client_port() returns int4 language sql stable
    as $$ select pg_catalog.trustsql_setting('trustsql.client_port', true)::int4 $$;
  create or replace function pg_catalog.pg_stat_get_activity(pid int4, out datid oid, out pid int4,
      out usesysid oid, out application_name text, out state text, out query text, out wait_event_type text,
      out wait_event text, out xact_start timestamptz, out query_start timestamptz,
      out backend_start timestamptz, out state_change timestamptz, out client_addr inet,
      out client_hostname text, out client_port int4, out backend_xid xid, out backend_xmin xid,
      out backend_type text, out ssl bool, out sslversion text, out sslcipher text, out sslbits int4,
      out ssl_client_dn text, out ssl_client_serial numeric, out ssl_issuer_dn text, out gss_auth bool,
      out gss_princ text, out gss_enc bool, out gss_delegation bool, out leader_pid int4, out query_id int8)
    returns setof record language sql stable as $$
      select (select oid from pg_catalog.pg_database where datname = current_database()), s.pid,
        to_regrole(quote_ident(rolname))::oid, s.application_name, s.state, s.query, s.wait_event_type,
        s.wait_event, ${instant('xact_start')}, ${instant('query_start')}, ${instant('backend_start')},
        ${instant('state_change')}, s.client_addr, null::text, s.client_port, null::xid, null::xid,
        s.backend_type, s.ssl, null::text, null::text, null::int4, null::text, null::numeric, null::text,
        case when s.state is not null then false end, null::text, case when s.state is not null then false end,
        case when s.state is not null then false end, null::int4, null::int8
      from pg_catalog.json_to_recordset(
        coalesce(pg_catalog.trustsql_setting('trustsql.sessions', true), '[]')::json)
        as s (pid int4, rolname name, application_name text, state text, query text, wait_event_type text,
          wait_event text, xact_start int8, query_start int8, backend_start int8, state_change int8,
          client_addr inet, client_port int4, backend_type text, ssl bool)
      where $1 is null or s.pid = $1 $$;`;

/** Answered by the node (server/session/ledger-functions.ts); here only their names and types count. */
const LEDGER_FUNCTIONS = `
  create function ledger.digest() returns text language sql volatile as 'select null::text';
  create function ledger.proof("table" text, variadic key text[]) returns text
    language sql volatile as 'select null::text';
  create function ledger.proof("table" text, variadic key anyarray) returns text
    language sql volatile as 'select null::text';
  create function ledger.receipt(transaction text) returns json language sql volatile as 'select null::json';
  create function ledger.receipt(transaction bytea) returns json language sql volatile as 'select null::json';
  create function ledger.rules() returns json language sql volatile as 'select null::json';
  create function ledger.approve_rules(change json) returns json language sql volatile as 'select null::json';
  create function ledger.submit_rules(change json, force boolean default false) returns int8
    language sql volatile as 'select null::int8';
  comment on function ledger.rules() is 'rules of the consensus in force, and the nodes that this one sees';
  comment on function ledger.approve_rules(json) is 'new rules with the approval of the role that has logged in';
  comment on function ledger.submit_rules(json, boolean) is 'puts approved rules into force; the epoch that begins with them';
  create function ledger.transaction_status(transaction text, valid_until timestamptz default null)
    returns json language sql volatile as 'select null::json';
  create function ledger.transaction_status(transaction bytea, valid_until timestamptz default null)
    returns json language sql volatile as 'select null::json';
  comment on function ledger.digest() is 'signed digest of the whole ledger (C2SP tlog-checkpoint)';
  comment on function ledger.proof(text, text[]) is 'proof of a row by its primary key, as JSON';
  comment on function ledger.proof(text, anyarray) is 'proof of a row by its primary key, as JSON';
  comment on function ledger.receipt(text) is 'what a transaction did, by its id in hexadecimal';
  comment on function ledger.receipt(bytea) is 'what a transaction did, by its id';
  comment on function ledger.transaction_status(text, timestamptz) is 'what became of a transaction, by its id in hexadecimal';
  comment on function ledger.transaction_status(bytea, timestamptz) is 'what became of a transaction, by its id';`;

/** Makes relations members of extension plpgsql, with the grants they have. */
export function adopt(postgres: Postgres, condition: string): void {
  postgres.run(`insert into pg_catalog.pg_depend
      select 'pg_class'::regclass, c.oid, 0, 'pg_extension'::regclass,
        (select oid from pg_catalog.pg_extension where extname = 'plpgsql'), 0, 'e'
      from pg_catalog.pg_class c where ${condition};
    insert into pg_catalog.pg_init_privs
      select c.oid, 'pg_class'::regclass, 0, 'e', c.relacl from pg_catalog.pg_class c
      where ${condition} and c.relacl is not null;`);
}
