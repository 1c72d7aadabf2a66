// Functions that only the session's own process can answer: sequences, settings, identity. Pure: it asks.

import type { EdgeFunction, FunctionTable } from './function.ts';

/** By Postgres' symbol, or by name where SQL writes them without brackets. */
// prettier-ignore
const SYMBOLS = [
  'nextval_oid', 'currval_oid', 'lastval', 'setval_oid', 'setval3_oid',
  'show_config_by_name', 'show_config_by_name_missing_ok', 'set_config_by_name',
  'pg_backend_pid', 'pgsql_version', 'current_database', 'current_catalog', 'current_schema', 'current_schemas',
  'current_query', 'pg_current_xact_id', 'pg_current_xact_id_if_assigned', 'pg_is_in_recovery',
  'pg_postmaster_start_time', 'pg_conf_load_time', 'inet_client_addr', 'inet_client_port', 'inet_server_addr',
  'inet_server_port', 'pg_my_temp_schema',
  'pg_advisory_lock_int8', 'pg_advisory_lock_int4', 'pg_advisory_xact_lock_int8', 'pg_advisory_xact_lock_int4',
  'pg_advisory_lock_shared_int8', 'pg_advisory_lock_shared_int4', 'pg_advisory_xact_lock_shared_int8',
  'pg_advisory_xact_lock_shared_int4', 'pg_try_advisory_lock_int8', 'pg_try_advisory_lock_int4',
  'pg_try_advisory_xact_lock_int8', 'pg_try_advisory_xact_lock_int4', 'pg_try_advisory_lock_shared_int8',
  'pg_try_advisory_lock_shared_int4', 'pg_try_advisory_xact_lock_shared_int8',
  'pg_try_advisory_xact_lock_shared_int4', 'pg_advisory_unlock_int8', 'pg_advisory_unlock_int4',
  'pg_advisory_unlock_shared_int8', 'pg_advisory_unlock_shared_int4', 'pg_advisory_unlock_all',
  'current_setting', 'set_config', 'version', 'text_regclass', 'pg_get_serial_sequence',
  'digest', 'proof', 'receipt', 'transaction_status', 'rules', 'approve_rules', 'submit_rules',
  'pg_notify', 'pg_sleep', 'pg_sleep_for', 'pg_sleep_until', 'pg_cancel_backend', 'pg_terminate_backend',
];

/** Called with NULL arguments too. */
const NULLABLE: ReadonlySet<string> = new Set([
  'set_config',
  'set_config_by_name',
  'transaction_status',
]);

function asked(symbol: string): EdgeFunction {
  return {
    session: true,
    volatile: true,
    ...(NULLABLE.has(symbol) ? { nullable: true as const } : {}),
    impl: (args, session) => session.call(symbol, args),
  };
}

export const SESSION: FunctionTable = Object.fromEntries(
  SYMBOLS.map((symbol) => [symbol, asked(symbol)]),
);
