// Functions in queries that only the session can answer, by Postgres' symbol. Shell: some take locks.
//
// They are called by SQLite in the middle of a query, so they answer at once. What takes time — waiting for
// a lock, sleeping, moving a sequence on the chain — is left in `session.effects`, which are awaited before
// the client hears of the answer.

import { encodeArray } from '../../ledger/array-value.ts';
import { decodeInterval, intervalSpan } from '../../ledger/datetime.ts';
import type { Role } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import { SERVER_VERSION, VERSION } from '../../sql/analyst/make-up.ts';
import { rolesOf } from '../../storage/privileges.ts';
import {
  lockAdvisory,
  releaseAdvisory,
  tryLockAdvisory,
  unlockAdvisory,
} from './advisory-locks.ts';
import type { AdvisoryLevel } from './advisory-locks.ts';
import { roleNamed } from './context.ts';
import type { SessionContext } from './context.ts';
import { existingSchemas, ownedSequenceName, relationByText } from './name-lookup.ts';
import { currval, lastval, nextval, setval } from './sequence-functions.ts';
import { shown } from './set-show.ts';

type SessionFunction = (session: SessionContext, args: readonly Datum[]) => Datum;

const VOID = '';
const MICROS_PER_MS = 1_000n;
const EPOCH_2000_MS = 946_684_800_000;
/** Longest time that setTimeout can wait. */
const TIMER_MS_MAX = 2_147_483_647;

const bool = (value: boolean): Datum => (value ? 1n : 0n);

/**
 * Calls a function.
 *
 * @throws SqlError as Postgres raises it; 0A000 for what has no meaning here
 */
export function callSessionFunction(
  session: SessionContext,
  symbol: string,
  args: readonly Datum[],
): Datum {
  const found = FUNCTIONS[symbol] ?? advisory(symbol);
  if (found !== undefined) return found(session, args);
  throw new SqlError(SQLSTATE.featureNotSupported, `function ${symbol} is not supported here`);
}

/** Awaits what the statement's functions have left to do; locks of its own transaction end with it. */
export async function runEffects(session: SessionContext): Promise<void> {
  const effects = session.effects.splice(0);
  for (const effect of effects) {
    session.stop.check();
    await effect();
  }
  if (session.transaction === null) releaseAdvisory(session, 'transaction');
}

const FUNCTIONS: Readonly<Record<string, SessionFunction>> = {
  nextval_oid: (session, [sequence]) => nextval(session, sequence!),
  currval_oid: (session, [sequence]) => currval(session, sequence!),
  lastval: (session) => lastval(session),
  setval_oid: (session, [sequence, value]) => setval(session, sequence!, value as bigint, true),
  setval3_oid: (session, [sequence, value, called]) =>
    setval(session, sequence!, value as bigint, called === 1n),
  text_regclass: (session, [name]) => relationByText(session, name as string),
  pg_get_serial_sequence: (session, [table, column]) =>
    ownedSequenceName(session, table as string, column as string),

  current_setting: (session, args) => currentSetting(session, args),
  show_config_by_name: (session, args) => currentSetting(session, args),
  show_config_by_name_missing_ok: (session, args) => currentSetting(session, args),
  set_config: (session, args) => setConfig(session, args),
  set_config_by_name: (session, args) => setConfig(session, args),

  pg_backend_pid: (session) => BigInt(session.processId),
  pgsql_version: () => VERSION,
  version: () => VERSION,
  current_database: (session) => session.services.database,
  current_catalog: (session) => session.services.database,
  current_schema: (session) => existingSchemas(session)[0] ?? null,
  current_schemas: (session, [implicit]) => {
    const own = existingSchemas(session);
    const all = implicit === 1n && !own.includes('pg_catalog') ? ['pg_catalog', ...own] : own;
    return encodeArray(all, 'name');
  },
  pg_is_in_recovery: ({ services }) => (services.isReadOnly() ? 1n : 0n),
  pg_postmaster_start_time: () => startedMicros(),
  pg_conf_load_time: () => startedMicros(),
  inet_client_addr: () => null,
  inet_client_port: (session) => BigInt(session.activity.client.port),
  inet_server_addr: () => null,
  inet_server_port: () => null,
  pg_my_temp_schema: () => 0n,
  pg_current_xact_id: () => {
    throw new SqlError(SQLSTATE.featureNotSupported, 'a transaction has no id before it commits', {
      hint: 'SHOW ledger.last_transaction tells the id of the last one committed.',
    });
  },
  pg_current_xact_id_if_assigned: () => null,

  pg_notify: () => {
    throw new SqlError(SQLSTATE.featureNotSupported, 'pg_notify is not supported', {
      hint: 'Poll ledger.transactions instead.',
    });
  },
  pg_sleep: (session, [seconds]) => sleep(session, Number(seconds) * 1_000),
  pg_sleep_for: (session, [interval]) => {
    const micros = intervalSpan(decodeInterval(interval as Uint8Array));
    return sleep(session, Number(micros / MICROS_PER_MS));
  },
  pg_sleep_until: (session, [until]) => {
    const micros = (until as bigint) - session.services.nowMicros();
    return sleep(session, Number(micros / MICROS_PER_MS));
  },
  pg_cancel_backend: (session, [processId]) => signal(session, Number(processId), false),
  pg_terminate_backend: (session, [processId]) => signal(session, Number(processId), true),
  pg_advisory_unlock_all: (session) => {
    releaseAdvisory(session, 'session');
    return VOID;
  },
};

// ── Settings ─────────────────────────────────────────────────────────────────────────────────────

function currentSetting(session: SessionContext, [name, missingOk]: readonly Datum[]): Datum {
  const wanted = name as string;
  if (wanted.toLowerCase() === 'server_version') return SERVER_VERSION;
  if (missingOk === 1n && session.settings.tryGet(wanted) === undefined) return null;
  return shown(session, wanted);
}

function setConfig(session: SessionContext, [name, value, local]: readonly Datum[]): Datum {
  if (name === null) {
    throw new SqlError(SQLSTATE.nullValueNotAllowed, 'SET requires parameter name');
  }
  const wanted = (name as string).toLowerCase();
  const text = value as string | null;
  if (wanted === 'role' || wanted === 'session_authorization') {
    session.assumeRole(text === null || text === 'none' ? null : text, local === 1n);
  } else if (text === null) session.settings.reset(wanted);
  else session.setSetting(wanted, text, local === 1n);
  // Outside of a block a local value is gone with the statement that has set it.
  return local === 1n && session.transaction === null ? text : shown(session, wanted);
}

// ── Advisory locks ───────────────────────────────────────────────────────────────────────────────

const ADVISORY = /^pg_(try_)?advisory_(xact_)?(lock|unlock)_(shared_)?int(?:4|8)$/;

function advisory(symbol: string): SessionFunction | undefined {
  const match = ADVISORY.exec(symbol);
  if (match === null) return undefined;
  const shared = match[4] !== undefined;
  const level: AdvisoryLevel = match[2] === undefined ? 'session' : 'transaction';
  return (session, args) => {
    const name = args.join(':');
    if (match[3] === 'unlock') return bool(unlockAdvisory(session, name, shared));
    if (match[1] !== undefined) {
      const taken = tryLockAdvisory(session, name, shared, level);
      // Also without waiting there is something to do at the end: a lock of the statement's own transaction.
      if (level === 'transaction') session.effects.push(() => Promise.resolve());
      return bool(taken);
    }
    const taken = tryLockAdvisory(session, name, shared, level);
    session.effects.push(() =>
      taken ? Promise.resolve() : lockAdvisory(session, name, shared, level),
    );
    return VOID;
  };
}

// ── Time and other sessions ──────────────────────────────────────────────────────────────────────

/** When this process began, in microseconds since 2000-01-01. */
function startedMicros(): bigint {
  return BigInt(Math.round(performance.timeOrigin) - EPOCH_2000_MS) * MICROS_PER_MS;
}

function sleep(session: SessionContext, ms: number): Datum {
  if (Number.isNaN(ms) || ms <= 0) return VOID;
  session.effects.push(
    () =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, Math.min(ms, TIMER_MS_MAX));
        session.stop.onStop((reason) => {
          clearTimeout(timer);
          reject(reason);
        });
      }),
  );
  return VOID;
}

function signal(session: SessionContext, processId: number, terminate: boolean): Datum {
  const { services } = session;
  const target = services.roleOf(processId);
  if (target !== null) demandSignal(session, target, terminate);
  const found = terminate ? services.terminate(processId) : services.cancelSession(processId);
  if (!found) {
    session.notice(
      'WARNING',
      SQLSTATE.warning,
      `PID ${processId} is not a PostgreSQL backend process`,
    );
  }
  return bool(found);
}

/** @throws SqlError 42501 unless the session's role may end what a session of the other role does */
function demandSignal({ catalog, currentRole }: SessionContext, target: Role, ends: boolean): void {
  const role = roleNamed(catalog, currentRole);
  if (role === undefined || role.superuser) return;
  if (target.superuser) {
    const what = ends ? 'terminate superuser process' : 'cancel superuser query';
    throw new SqlError(SQLSTATE.insufficientPrivilege, `must be a superuser to ${what}`);
  }
  if (rolesOf(catalog, role.id).has(target.id)) return;
  const whose = ends ? 'process is being terminated' : 'query is being canceled';
  throw new SqlError(
    SQLSTATE.insufficientPrivilege,
    `must be a member of the role whose ${whose} or member of pg_signal_backend`,
  );
}
