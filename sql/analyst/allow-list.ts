// Which statements may run inside the mirror: read-only queries that call nothing but harmless functions. Pure.
//
// A query of a client is hostile until shown otherwise. Its resolved tree names every function it will call;
// immutable ones can do nothing but compute, of the others only those listed run.

import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { SqlError } from '../../ledger/error.ts';
import type { FunctionRef } from '../ir.ts';
import { walkTree } from '../node-tree-text.ts';
import type { TreeNode } from '../node-tree-text.ts';
import type { CatalogResolver } from './resolver.ts';

/** Function of the session that the mirror answers too, beside catalogs: its value comes with the call. */
const BACKEND_PID = 'pg_backend_pid';

/** Functions of the session: answered by the node, never by the mirror. */
const SESSION: ReadonlySet<string> = new Set([
  'nextval',
  'currval',
  'setval',
  'lastval',
  'set_config',
  BACKEND_PID,
  'pg_sleep',
  'pg_sleep_for',
  'pg_sleep_until',
  'pg_notify',
  'pg_cancel_backend',
  'pg_terminate_backend',
  'random',
  'clock_timestamp',
  'statement_timestamp',
  'timeofday',
  'gen_random_uuid',
  'txid_current',
  'pg_current_xact_id',
  'txid_current_if_assigned',
  'pg_current_xact_id_if_assigned',
  'setseed',
  'pg_export_snapshot',
  'digest',
  'proof',
  'receipt',
  'rules',
  'approve_rules',
  'submit_rules',
  'transaction_status',
]);

/** Stable and volatile functions that only read catalogs or format values. */
const HARMLESS = new RegExp(
  '^(' +
    String.raw`pg_get_\w+|pg_\w+_is_visible|has_\w+_privilege|pg_has_role|format_type|col_description|` +
    String.raw`obj_description|shobj_description|to_reg\w+|` +
    String.raw`current_(schema|schemas|database|user|setting|catalog|query)|session_user|getpgusername|version|now|` +
    String.raw`transaction_timestamp|pg_(relation|table|indexes|total_relation|database|tablespace|column)_size|` +
    String.raw`pg_size_pretty|pg_is_in_recovery|pg_is_in_backup|pg_is_other_temp_schema|pg_my_temp_schema|` +
    String.raw`pg_describe_object|pg_identify_object\w*|pg_encoding_to_char|pg_char_to_encoding|pg_client_encoding|` +
    String.raw`pg_postmaster_start_time|pg_conf_load_time|pg_stat_get_\w+|pg_lock_status|pg_show_all_settings|` +
    String.raw`pg_cursor|pg_prepared_\w+|pg_available_extension\w*|pg_extension_config_dump|pg_timezone_\w+|` +
    String.raw`pg_options_to_table|pg_index_column_has_property|pg_index_has_property|pg_indexam_has_property|` +
    String.raw`pg_partition_\w+|pg_relation_is_\w+|pg_relation_filenode|pg_filenode_relation|` +
    String.raw`pg_sequence_parameters|pg_sequence_last_value|pg_typeof|pg_collation_for|` +
    String.raw`pg_collation_actual_version|pg_database_collation_actual_version|acl\w*|makeaclitem|` +
    String.raw`row_security_active|inet_(client|server)_(addr|port)|array_to_string|convert\w*|length|numeric|` +
    String.raw`to_number|time|timetz|make_timestamptz|enum_\w+|in_range|money|oidvectortypes|array_in|array_out|` +
    String.raw`${BACKEND_PID}|concat|concat_ws|format|to_char|to_date|to_timestamp|to_json\w*|json\w*|row_to_json|array_to_json|` +
    String.raw`age|date_\w+|extract|timezone|timestamptz\w*|timestamp\w*|date|interval\w*|text|quote_\w+|` +
    String.raw`record_\w+|unnest|generate_\w+|_pg_\w+|is_updatable|pg_settings_get_flags|pg_tablespace_\w+|` +
    String.raw`pg_xact_commit_timestamp|pg_blocking_pids|pg_listening_channels|pg_get_keywords|pg_jit_available|` +
    String.raw`pg_trigger_depth|pg_control_\w+|txid_\w+|trustsql_setting|textanycat|anytextcat|getdatabaseencoding|` +
    String.raw`float\w+|reg\w+|pg_input_is_valid|overlaps|isfinite|bool_\w+|aclexplode|pg_event_trigger_\w+|` +
    String.raw`pg_statistics_obj_is_visible|pg_mcv_list_items|pg_last_\w+|pg_replication_\w+_status` +
    ')$',
);

/**
 * pg_dump sends `SELECT set_config(name, …) FROM pg_settings WHERE name = 'restrict_…'`; set_config does
 * nothing in the mirror, and that setting guards nothing here.
 */
const PG_DUMP_GUARD = 'restrict_nonsystem_relation_kind';

/** Does the statement call a function of the session? @param catalogs  whether it reads any */
export function sessionOnly(
  tree: TreeNode,
  resolver: CatalogResolver,
  text: string,
  catalogs: boolean,
): boolean {
  if (text.includes(PG_DUMP_GUARD)) return false;
  return functionsOf(tree, resolver).some(
    ({ name }) =>
      (SESSION.has(name) && !(catalogs && name === BACKEND_PID)) || /advisory/.test(name),
  );
}

/** @throws SqlError 42501 for the first function that may not run in the mirror */
export function runnable(tree: TreeNode, resolver: CatalogResolver, text: string): void {
  if (tree.fields.get('commandType') !== '1') {
    throw new SqlError(SQLSTATE.featureNotSupported, 'only queries may read system catalogs');
  }
  for (const { name, volatility } of functionsOf(tree, resolver)) {
    if (name === 'set_config' && text.includes(PG_DUMP_GUARD)) continue;
    if (volatility !== 'immutable' && !HARMLESS.test(name)) {
      throw new SqlError(SQLSTATE.insufficientPrivilege, `permission denied for function ${name}`);
    }
  }
}

const FIELDS = ['funcid', 'opfuncid', 'aggfnoid', 'winfnoid', 'hashfuncid', 'negfuncid'] as const;

function functionsOf(tree: TreeNode, resolver: CatalogResolver): FunctionRef[] {
  const oids = new Set<number>();
  walkTree(tree, (node) => {
    for (const name of FIELDS) {
      const oid = Number(node.fields.get(name) ?? 0);
      if (oid > 0) oids.add(oid);
    }
  });
  return [...oids].map((oid) => resolver.fn(oid));
}
