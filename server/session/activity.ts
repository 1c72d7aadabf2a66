// What sessions are doing, for pg_stat_activity. Pure.

import type { Catalog, Role } from '../../ledger/catalog.ts';
import { rolesOf } from '../../storage/privileges.ts';

/** Characters of a statement that are shown: track_activity_query_size of Postgres. */
const QUERY_CHARACTERS_MAX = 1_024;

/** Where a session comes from. */
export interface Client {
  /** Empty when the client was gone before it was asked for. */
  readonly address: string;
  readonly port: number;
  readonly encrypted: boolean;
}

/** Times are microseconds since 2000-01-01. */
export class Activity {
  readonly client: Client;
  readonly startedMicros: bigint;
  /** The statement that runs, or ran last. */
  query = '';
  running = false;
  /** What kind of lock it waits for, in Postgres' words (wait_event of type Lock). */
  lock: string | null = null;
  changedMicros: bigint;

  constructor(client: Client, nowMicros: bigint) {
    this.client = client;
    this.startedMicros = nowMicros;
    this.changedMicros = nowMicros;
  }

  /** The statement has ended. */
  ended(nowMicros: bigint): void {
    this.running = false;
    this.changedMicros = nowMicros;
  }
}

/** Postgres' name for the kind of a lock; whoever waits for a row, or a key of one, waits for the transaction that has it. */
export function lockKind(key: string): string {
  if (key.startsWith('table:')) return 'relation';
  return key.includes('advisory:') ? 'advisory' : 'transactionid';
}

/** What is to be known of a session. */
export interface ActiveSession {
  readonly processId: number;
  readonly sessionRole: Role;
  readonly applicationName: string;
  readonly activity: Activity;
  readonly statementMicros: bigint;
  readonly transaction: {
    readonly explicit: boolean;
    readonly failed: boolean;
    readonly startedMicros: bigint;
  } | null;
}

/** Rows for the function behind pg_stat_activity (sql/analyst/make-up.ts), as far as a role may see them. */
export function activityRows(
  sessions: Iterable<ActiveSession>,
  catalog: Catalog,
  role: string,
): object[] {
  const asking = [...catalog.roles.values()].find(({ name }) => name === role);
  const mine = asking === undefined ? new Set<number>() : rolesOf(catalog, asking.id);
  return [...sessions].map((session) => {
    const { processId: pid, sessionRole, applicationName: application_name } = session;
    const known = { pid, rolname: sessionRole.name, application_name };
    const visible = asking?.superuser === true || mine.has(sessionRole.id);
    return visible
      ? { ...known, ...details(session) }
      : { ...known, query: '<insufficient privilege>' };
  });
}

function details({ activity, statementMicros, transaction }: ActiveSession): object {
  const { client, query, running, startedMicros, changedMicros } = activity;
  const since = running ? statementMicros : changedMicros;
  const xact = transaction?.startedMicros ?? (running ? statementMicros : null);
  return {
    state: stateOf(running, transaction),
    query: query.slice(0, QUERY_CHARACTERS_MAX),
    wait_event_type: running ? (activity.lock === null ? null : 'Lock') : 'Client',
    wait_event: running ? activity.lock : 'ClientRead',
    xact_start: xact === null ? null : String(xact),
    query_start: statementMicros === 0n ? null : String(statementMicros),
    backend_start: String(startedMicros),
    state_change: String(since),
    client_addr: client.address || null,
    client_port: client.port,
    backend_type: 'client backend',
    ssl: client.encrypted,
  };
}

function stateOf(running: boolean, transaction: ActiveSession['transaction']): string {
  if (running) return 'active';
  if (transaction === null || !transaction.explicit) return 'idle';
  return transaction.failed ? 'idle in transaction (aborted)' : 'idle in transaction';
}
