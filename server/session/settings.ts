// The settings (GUCs) of a session: SET, SHOW, RESET, start-up parameters. Pure.
//
// (1) Every setting a client may name is in DEFINITIONS, or has a dot in its name and none of our prefixes.
//     Nothing else is accepted (42704).
// (2) A value is kept in its canonical text, as SHOW prints it.
// (3) What a transaction sets is undone when it (or its savepoint) is rolled back; SET LOCAL also at its end.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { roleKey } from './role-key.ts';
import {
  INTEGER_MAX,
  bool,
  clientEncoding,
  dateStyle,
  duration,
  durationMs,
  integer,
  isolation,
  memory,
  messageLevel,
  oneOf,
  real,
  timeZone,
} from './setting-values.ts';

interface Definition {
  /** Name as SHOW prints it in its column header. */
  readonly name: string;
  readonly initial: string;
  /** Canonical text of a value, or an error. Absent: any text. */
  readonly check?: (value: string, name: string, current: string, initial: string) => string;
  /** Sent to the client as ParameterStatus, before a ReadyForQuery at which it has changed. */
  readonly reported?: boolean;
  /** Fixed for a running server. */
  readonly fixed?: boolean;
}

const LIST: readonly Definition[] = [
  { name: 'application_name', initial: '', reported: true },
  { name: 'bytea_output', initial: 'hex', check: oneOf('hex', 'escape') },
  { name: 'check_function_bodies', initial: 'on', check: bool },
  { name: 'client_encoding', initial: 'UTF8', check: clientEncoding, reported: true },
  { name: 'client_min_messages', initial: 'notice', check: messageLevel },
  { name: 'DateStyle', initial: 'ISO, MDY', check: dateStyle, reported: true },
  { name: 'default_table_access_method', initial: 'heap', check: oneOf('heap') },
  { name: 'default_tablespace', initial: '' },
  { name: 'default_transaction_deferrable', initial: 'off', check: bool },
  { name: 'default_transaction_isolation', initial: 'read committed', check: isolation },
  { name: 'default_transaction_read_only', initial: 'off', check: bool, reported: true },
  { name: 'default_with_oids', initial: 'off', check: oneOf('off') },
  { name: 'extra_float_digits', initial: '1', check: integer(-15, 3) },
  { name: 'idle_in_transaction_session_timeout', initial: '0', check: duration },
  { name: 'idle_session_timeout', initial: '0', check: duration },
  { name: 'in_hot_standby', initial: 'off', reported: true, fixed: true },
  { name: 'integer_datetimes', initial: 'on', reported: true, fixed: true },
  {
    name: 'IntervalStyle',
    initial: 'postgres',
    check: oneOf('postgres', 'postgres_verbose', 'sql_standard', 'iso_8601'),
    reported: true,
  },
  { name: 'is_superuser', initial: 'off', reported: true, fixed: true },
  { name: 'jit', initial: 'off', check: bool },
  { name: 'lc_collate', initial: 'C', fixed: true },
  { name: 'lc_ctype', initial: 'C', fixed: true },
  { name: 'lc_messages', initial: 'C' },
  { name: 'lc_monetary', initial: 'C' },
  { name: 'lc_numeric', initial: 'C' },
  { name: 'lc_time', initial: 'C' },
  { name: 'lock_timeout', initial: '0', check: duration },
  { name: 'max_connections', initial: '100', fixed: true },
  { name: 'max_identifier_length', initial: '63', fixed: true },
  { name: 'max_index_keys', initial: '32', fixed: true },
  { name: 'password_encryption', initial: 'scram-sha-256', check: oneOf('scram-sha-256') },
  { name: 'quote_all_identifiers', initial: 'off', check: bool },
  { name: 'role', initial: 'none' },
  { name: 'row_security', initial: 'on', check: bool },
  { name: 'search_path', initial: '"$user", public' },
  { name: 'server_encoding', initial: 'UTF8', reported: true, fixed: true },
  { name: 'server_version', initial: '15.18', reported: true, fixed: true },
  { name: 'server_version_num', initial: '150018', fixed: true },
  { name: 'session_authorization', initial: '', reported: true, fixed: true },
  { name: 'session_replication_role', initial: 'origin', check: oneOf('origin', 'local') },
  { name: 'standard_conforming_strings', initial: 'on', check: oneOf('on'), reported: true },
  { name: 'statement_timeout', initial: '0', check: duration },
  { name: 'synchronize_seqscans', initial: 'on', check: bool },
  {
    name: 'synchronous_commit',
    initial: 'on',
    check: oneOf('on', 'remote_apply', 'remote_write', 'local'),
  },
  { name: 'TimeZone', initial: 'Etc/UTC', check: timeZone, reported: true },
  { name: 'timezone_abbreviations', initial: 'Default' },
  { name: 'transaction_deferrable', initial: 'off', check: bool },
  { name: 'transaction_isolation', initial: 'read committed', check: isolation },
  { name: 'transaction_read_only', initial: 'off', check: bool },
  { name: 'vacuum_freeze_min_age', initial: '50000000', check: integer(0, 1_000_000_000) },
  { name: 'xmloption', initial: 'content', check: oneOf('content', 'document') },
  { name: 'ledger.as_of', initial: '' },
  { name: 'ledger.role_key', initial: '', check: roleKey },
  { name: 'ledger.confirm', initial: 'local', check: oneOf('local', 'f+1', 'all') },
  {
    name: 'ledger.read_consistency',
    initial: 'session',
    check: oneOf('session', 'linearizable'),
  },
  { name: 'ledger.last_transaction', initial: '', fixed: true },
  { name: 'ledger.last_block', initial: '', fixed: true },
];

const COST_MAX = Number.MAX_VALUE;

/** Those by which Postgres plans: they are kept and shown, so that programs that set them run, and mean nothing here. */
const WITHOUT_EFFECT: readonly Definition[] = [
  ...[
    ...['async_append', 'bitmapscan', 'gathermerge', 'hashagg', 'hashjoin', 'incremental_sort'],
    ...['indexonlyscan', 'indexscan', 'material', 'memoize', 'mergejoin', 'nestloop', 'seqscan'],
    ...['parallel_append', 'parallel_hash', 'partition_pruning', 'sort', 'tidscan'],
  ].map((plan) => ({ name: `enable_${plan}`, initial: 'on', check: bool })),
  { name: 'enable_partitionwise_aggregate', initial: 'off', check: bool },
  { name: 'enable_partitionwise_join', initial: 'off', check: bool },
  { name: 'constraint_exclusion', initial: 'partition', check: oneOf('partition', 'on', 'off') },
  { name: 'cpu_index_tuple_cost', initial: '0.005', check: real(0, COST_MAX) },
  { name: 'cpu_operator_cost', initial: '0.0025', check: real(0, COST_MAX) },
  { name: 'cpu_tuple_cost', initial: '0.01', check: real(0, COST_MAX) },
  { name: 'cursor_tuple_fraction', initial: '0.1', check: real(0, 1) },
  { name: 'default_statistics_target', initial: '100', check: integer(1, 10_000) },
  { name: 'effective_cache_size', initial: '4GB', check: memory(1, 8) },
  { name: 'from_collapse_limit', initial: '8', check: integer(1, INTEGER_MAX) },
  { name: 'geqo', initial: 'on', check: bool },
  { name: 'hash_mem_multiplier', initial: '2', check: real(1, 1_000) },
  { name: 'join_collapse_limit', initial: '8', check: integer(1, INTEGER_MAX) },
  { name: 'maintenance_work_mem', initial: '64MB', check: memory(1_024) },
  { name: 'max_parallel_maintenance_workers', initial: '2', check: integer(0, 1_024) },
  { name: 'max_parallel_workers', initial: '8', check: integer(0, 1_024) },
  { name: 'max_parallel_workers_per_gather', initial: '2', check: integer(0, 1_024) },
  { name: 'parallel_setup_cost', initial: '1000', check: real(0, COST_MAX) },
  { name: 'parallel_tuple_cost', initial: '0.1', check: real(0, COST_MAX) },
  {
    name: 'plan_cache_mode',
    initial: 'auto',
    check: oneOf('auto', 'force_generic_plan', 'force_custom_plan'),
  },
  { name: 'random_page_cost', initial: '4', check: real(0, COST_MAX) },
  { name: 'seq_page_cost', initial: '1', check: real(0, COST_MAX) },
  { name: 'temp_buffers', initial: '8MB', check: memory(100, 8, INTEGER_MAX >> 1) },
  { name: 'work_mem', initial: '4MB', check: memory(64) },
];

const DEFINITIONS: ReadonlyMap<string, Definition> = new Map(
  [...LIST, ...WITHOUT_EFFECT].map((definition) => [definition.name.toLowerCase(), definition]),
);
/** Keys of what is reported; they are looked at before each ReadyForQuery. */
const REPORTED = [...DEFINITIONS].flatMap(([key, { reported }]) => (reported ? [key] : []));
/** Names that Postgres spells in two ways. */
const ALIASES: ReadonlyMap<string, string> = new Map([['time zone', 'timezone']]);

type Undo = { readonly key: string; readonly before: string | undefined; readonly local: boolean };

export class Settings {
  /** Values that differ from the default of the server. */
  readonly #values = new Map<string, string>();
  /** What no client may set; a function where it changes more often than somebody looks. */
  readonly #fixed = new Map<string, string | (() => string)>();
  /** What RESET goes back to: start-up parameters. */
  readonly #defaults = new Map<string, string>();
  /** What `get` and `milliseconds` have found, by key: they are asked several times for each statement. */
  readonly #known = new Map<string, string>();
  readonly #durations = new Map<string, number>();
  #undo: Undo[] = [];
  #inTransaction = false;
  #revision = 0;
  /** What the client has been told, by key. */
  readonly #reported = new Map<string, string>();
  /** The revision that they were told of. */
  #told = -1;
  /** Keys of those that a function gives. */
  readonly #moving: string[] = [];

  /** Another number after every change but those by `setFixed`: what was made of settings may be kept. */
  get revision(): number {
    return this.#revision;
  }

  /** @throws SqlError 42704 for an unknown name */
  get(name: string): string {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const value = this.tryGet(name);
    if (value === undefined) throw unknownSetting(name);
    // Only its own name: a name can be written in any number of ways. What a function says may be another the next time.
    const isKept = keyOf(name) === name && typeof this.#fixed.get(name) !== 'function';
    if (isKept) this.#known.set(name, value);
    return value;
  }

  /** A duration. @param name  in lower case */
  milliseconds(name: string): number {
    let ms = this.#durations.get(name);
    if (ms === undefined) this.#durations.set(name, (ms = durationMs(this.get(name))));
    return ms;
  }

  tryGet(name: string): string | undefined {
    const key = keyOf(name);
    const fixed = this.#fixed.get(key);
    if (fixed !== undefined) return typeof fixed === 'string' ? fixed : fixed();
    return this.#values.get(key) ?? this.#defaults.get(key) ?? DEFINITIONS.get(key)?.initial;
  }

  /** The name as SHOW heads its column. */
  displayName(name: string): string {
    return DEFINITIONS.get(keyOf(name))?.name ?? name.toLowerCase();
  }

  /** All names in order, for SHOW ALL. */
  names(): string[] {
    return [...new Set([...LIST.map((definition) => definition.name), ...this.#values.keys()])]
      .filter((name) =>
        DEFINITIONS.has(name.toLowerCase())
          ? DEFINITIONS.get(name.toLowerCase())!.name === name
          : true,
      )
      .sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
  }

  /** Settings that shape how texts are read and shown, for the analyst. */
  forAnalyst(): ReadonlyMap<string, string> {
    const names = [
      'timezone',
      'datestyle',
      'intervalstyle',
      'bytea_output',
      'extra_float_digits',
      'application_name',
      'statement_timeout',
      'lock_timeout',
      'quote_all_identifiers',
    ];
    return new Map(names.map((name) => [name, this.get(name)]));
  }

  /** A start-up parameter: becomes the default that RESET returns to. */
  setDefault(name: string, value: string): void {
    const key = keyOf(name);
    this.#revision += 1;
    this.#defaults.set(key, this.#checked(key, name, value));
    this.#forget(key);
  }

  set(name: string, value: string, local = false): void {
    const key = keyOf(name);
    this.#write(key, this.#checked(key, name, value), local);
  }

  reset(name: string): void {
    const key = keyOf(name);
    if (!DEFINITIONS.has(key) && !key.includes('.')) throw unknownSetting(name);
    this.#write(key, undefined, false);
  }

  resetAll(): void {
    for (const key of [...this.#values.keys()])
      if (key !== 'role') this.#write(key, undefined, false);
  }

  /** Sets what no client may set, and no RESET changes. @param key  in lower case */
  setFixed(key: string, value: string | (() => string)): void {
    this.#fixed.set(key, value);
    if (typeof value === 'function' && REPORTED.includes(key)) this.#moving.push(key);
    this.#forget(key);
  }

  /** Reported settings that are not as they were when this was last asked; at first all of them: [name, value]. */
  takeChanged(): readonly (readonly [string, string])[] {
    // Before each ReadyForQuery: only what functions say can have changed without a new revision.
    const keys = this.#told === this.#revision ? this.#moving : REPORTED;
    this.#told = this.#revision;
    const changed = keys
      .map((key) => [key, this.get(key)] as const)
      .filter(([key, value]) => this.#reported.get(key) !== value);
    for (const [key, value] of changed) this.#reported.set(key, value);
    return changed.map(([key, value]) => [DEFINITIONS.get(key)!.name, value]);
  }

  /** Marks the beginning of a transaction or savepoint; returns what `rollbackTo` takes. */
  begin(): number {
    this.#inTransaction = true;
    return this.#undo.length;
  }

  rollbackTo(mark: number): void {
    while (this.#undo.length > mark) this.#restore(this.#undo.pop()!);
  }

  rollback(): void {
    this.rollbackTo(0);
    this.#inTransaction = false;
  }

  commit(): void {
    const undo = this.#undo;
    this.#undo = [];
    this.#inTransaction = false;
    for (const entry of undo.reverse()) if (entry.local) this.#restore(entry);
  }

  #checked(key: string, name: string, value: string): string {
    const definition = DEFINITIONS.get(key);
    if (definition === undefined) {
      if (!/^[a-z_][\w$]*\.[a-z_][\w$]*$/.test(key) || key.startsWith('ledger.'))
        throw unknownSetting(name);
      return value;
    }
    if (definition.fixed === true) {
      throw new SqlError(
        SQLSTATE.cantChangeRuntimeParam,
        `parameter "${definition.name}" cannot be changed`,
      );
    }
    if (definition.check === undefined) return value;
    const initial = this.#defaults.get(key) ?? definition.initial;
    return definition.check(value, definition.name, this.#values.get(key) ?? initial, initial);
  }

  #write(key: string, value: string | undefined, local: boolean): void {
    const before = this.#values.get(key);
    if (this.#inTransaction) this.#undo.push({ key, before, local });
    else if (local) return;
    this.#put(key, value);
  }

  #restore(entry: Undo): void {
    this.#put(entry.key, entry.before);
  }

  #put(key: string, value: string | undefined): void {
    if (value === this.#values.get(key)) return;
    this.#revision += 1;
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    this.#forget(key);
  }

  #forget(key: string): void {
    this.#known.delete(key);
    this.#durations.delete(key);
  }
}

function keyOf(name: string): string {
  const lower = name.toLowerCase();
  return ALIASES.get(lower) ?? lower;
}

function unknownSetting(name: string): SqlError {
  return new SqlError(SQLSTATE.undefinedObject, `unrecognized configuration parameter "${name}"`);
}
