// The state of one session that its statements work on. Shell only in that it holds the node's services.

import { hex } from '../../ledger/bytes.ts';
import type { Catalog, Role, Sequence } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import type { AnalysisContext } from '../../sql/analysis.ts';
import { overlayTable } from '../../sql/compile/from.ts';
import { partsOf } from '../../storage/parts.ts';
import { rolesOf } from '../../storage/privileges.ts';
import type { ResultSink } from '../pgwire/backend.ts';
import type { OverlayImage, QueryRequest } from '../readers/query-runner.ts';
import { standIn } from '../readers/stand-in.ts';
import type { StandIn } from '../readers/stand-in.ts';
import type { Committed } from '../gateway.ts';
import type { LockMode } from '../lock-table.ts';
import { firstAfter } from '../sequences.ts';
import { lockKind } from './activity.ts';
import type { Activity } from './activity.ts';
import { HeldChunks } from './held-chunks.ts';
import type { Portal } from './portal.ts';
import type { Prepared } from './plan.ts';
import { OpenTransaction } from './open-transaction.ts';
import type { Isolation } from './open-transaction.ts';
import type { NodeServices } from './services.ts';
import type { Settings } from './settings.ts';
import { lockTimeout, StopSignal } from './stop.ts';

export class SessionContext {
  readonly services: NodeServices;
  readonly settings: Settings;
  readonly processId: number;
  /** The role that logged in: its key signs. */
  readonly sessionRole: Role;
  readonly activity: Activity;
  readonly stop = new StopSignal();
  readonly chunks: HeldChunks;
  transaction: OpenTransaction | null = null;
  /** Last value of each sequence this session has drawn from, by id, and the newest of all. */
  readonly drawn = new Map<number, bigint>();
  lastDrawn: number | null = null;
  /** The newest transaction of this session. */
  committed: Committed | null = null;
  /** Microseconds since 2000-01-01 when the running statement arrived. */
  statementMicros = 0n;
  readonly statements = new Map<string, Prepared>();
  readonly portals = new Map<string, Portal>();
  /** What SQL functions of the running statement have asked for that takes time: setval, locks, sleep. */
  readonly effects: (() => Promise<void>)[] = [];
  /** Where notices of the running statement go. */
  sink: ResultSink | null = null;

  constructor(
    services: NodeServices,
    settings: Settings,
    processId: number,
    sessionRole: Role,
    activity: Activity,
  ) {
    this.services = services;
    this.chunks = new HeldChunks(services);
    this.settings = settings;
    this.processId = processId;
    this.sessionRole = sessionRole;
    this.activity = activity;
    settings.setFixed('ledger.last_transaction', () => {
      return this.committed === null ? '' : hex(this.committed.id);
    });
    settings.setFixed('ledger.last_block', () => String(this.committed?.height ?? ''));
    settings.setFixed('is_superuser', () => (this.#isSuperuser ? 'on' : 'off'));
    // Asked for at start-up (options = '-c role=…'): no other door to it than SET ROLE's.
    if (this.assumedRole !== null) this.assumeRole(this.assumedRole);
  }

  /** SET ROLE, or null. */
  get assumedRole(): string | null {
    const role = this.settings.get('role');
    return role === 'none' ? null : role;
  }

  get currentRole(): string {
    return this.assumedRole ?? this.sessionRole.name;
  }

  get applicationName(): string {
    return this.settings.get('application_name');
  }

  /** The catalog as this session sees it. */
  get catalog(): Catalog {
    return this.transaction?.catalog ?? this.services.catalog();
  }

  /** now(): the start of the transaction, or of the statement outside of one. */
  get nowMicros(): bigint {
    return this.transaction?.startedMicros ?? this.statementMicros;
  }

  analysisContext(): AnalysisContext {
    return {
      role: this.currentRole,
      sessionRole: this.sessionRole.name,
      searchPath: this.settings.get('search_path'),
      pendingDdl: this.transaction?.pendingDdl ?? [],
      settings: new Map([...this.settings.forAnalyst(), ['trustsql.pid', String(this.processId)]]),
    };
  }

  /**
   * SET ROLE; null for RESET.
   *
   * @throws SqlError 22023 for an unknown role, 42501 without membership
   */
  assumeRole(name: string | null, local = false): void {
    if (name !== null && name !== this.sessionRole.name) {
      const roles = [...this.catalog.roles.values()];
      const role = roles.find((each) => each.name === name);
      if (role === undefined) {
        throw new SqlError(SQLSTATE.invalidParameterValue, `role "${name}" does not exist`);
      }
      if (!this.sessionRole.superuser && !rolesOf(this.catalog, this.sessionRole.id).has(role.id)) {
        throw new SqlError(
          SQLSTATE.insufficientPrivilege,
          `permission denied to set role "${name}"`,
        );
      }
    }
    this.settings.set('role', name ?? 'none', local);
  }

  get #isSuperuser(): boolean {
    if (this.assumedRole === null) return this.sessionRole.superuser;
    const roles = [...this.catalog.roles.values()];
    return roles.find(({ name }) => name === this.assumedRole)?.superuser === true;
  }

  /** SET of anything but roles: some settings mean more than their text. */
  setSetting(name: string, value: string, local: boolean): void {
    if (name.toLowerCase() === 'ledger.as_of' && value !== '') {
      if (this.transaction?.operations.length) {
        throw new SqlError(
          SQLSTATE.activeSqlTransaction,
          'ledger.as_of cannot be set after writing',
        );
      }
      this.services.stampOfText(value, this);
    }
    if (name.toLowerCase() === 'transaction_isolation' && this.transaction !== null) {
      this.transaction.isolation = isolationOf(value);
    }
    this.settings.set(name, value, local);
    if (name.toLowerCase() === 'transaction_read_only' && this.transaction !== null) {
      this.transaction.readOnly = this.settings.get('transaction_read_only') === 'on';
    }
  }

  /** Opens a transaction if none is open. */
  begin(explicit: boolean): OpenTransaction {
    if (this.transaction !== null) return this.transaction;
    const isolation = this.settings.get('default_transaction_isolation');
    const readOnly = this.settings.get('default_transaction_read_only') === 'on';
    this.transaction = new OpenTransaction(
      isolationOf(isolation),
      readOnly,
      explicit,
      this.statementMicros,
    );
    this.transaction.isolationName = isolation;
    this.settings.begin();
    return this.transaction;
  }

  /** @throws SqlError 25006 in a read-only transaction */
  checkWritable(command: string): void {
    const readOnly =
      this.transaction?.readOnly ?? this.settings.get('default_transaction_read_only') === 'on';
    if (readOnly || this.settings.get('ledger.as_of') !== '') {
      throw new SqlError(
        SQLSTATE.readOnlySqlTransaction,
        `cannot execute ${command} in a read-only transaction`,
        readOnly ? {} : { hint: 'The session looks at the past: RESET ledger.as_of first.' },
      );
    }
  }

  notice(severity: 'NOTICE' | 'WARNING' | 'INFO', sqlstate: string, message: string): void {
    const level = this.settings.get('client_min_messages');
    if (level === 'error' || (level === 'warning' && severity === 'NOTICE')) return;
    this.sink?.notice(severity, new SqlError(sqlstate, message));
  }

  /** Takes a lock, waiting as lock_timeout and cancel requests allow; true when it had to wait. */
  lock(key: string, mode: LockMode): boolean | Promise<boolean> {
    if (this.services.locks.holds(this, key, mode)) return false;
    const wait = this.services.locks.acquire(this, key, mode);
    if (wait === null) return false;
    const ms = this.settings.milliseconds('lock_timeout');
    const timer = ms === 0 ? null : setTimeout(() => wait.cancel(lockTimeout()), ms);
    this.stop.onStop((reason) => wait.cancel(reason));
    this.activity.lock = lockKind(key);
    return wait.granted
      .then(() => true)
      .finally(() => {
        this.activity.lock = null;
        if (timer !== null) clearTimeout(timer);
        this.stop.onStop(() => {});
      });
  }

  /** Locks of this session, of any kind. */
  get keyLocks(): number {
    return this.services.locks.mark(this);
  }

  /** Whether a sequence moves with the open transaction: it was made, changed or restarted in it. */
  ownsSequence(id: number): boolean {
    const { transaction } = this;
    if (transaction === null) return false;
    if (transaction.sequences.has(id)) return true;
    const made = transaction.catalog?.relations.get(id);
    return made !== undefined && made !== this.services.catalog().relations.get(id);
  }

  /** Makes sure that `count` calls of `drawNext` will not lack values. */
  reserve(sequence: Sequence, count: number): void | Promise<void> {
    if (this.ownsSequence(sequence.id)) return undefined;
    return this.services.sequences.ensure(sequence, count, this.sessionRole.id);
  }

  /** nextval: a value must have been reserved. */
  drawNext(id: number): bigint {
    const sequence = this.catalog.relations.get(id);
    if (sequence?.kind !== 'sequence') {
      throw new SqlError(SQLSTATE.undefinedTable, `sequence ${id} does not exist`);
    }
    const value = this.#nextOf(sequence);
    this.drawn.set(id, value);
    this.lastDrawn = id;
    return value;
  }

  #nextOf(sequence: Sequence): bigint {
    const { services, transaction } = this;
    if (transaction === null || !this.ownsSequence(sequence.id))
      return services.sequences.next(sequence);
    const before =
      transaction.sequences.get(sequence.id)?.state ?? services.sequences.stateOf(sequence);
    const last = firstAfter(sequence, before);
    transaction.drawSequence(sequence.id, before, { last, called: true });
    return last;
  }

  /** The newest stamp this session may see, or null for "whatever is there". */
  visibleStamp(): bigint | null {
    const asOf = this.settings.get('ledger.as_of');
    if (asOf !== '') return this.services.stampOfText(asOf, this);
    const { transaction } = this;
    if (transaction === null) return null;
    if (transaction.isolation === 'read committed') return transaction.parts?.stamp ?? null;
    transaction.snapshot ??= this.services.appliedStamp();
    return transaction.snapshot;
  }

  /** @throws SqlError 0A000 for a table with rows that have been spooled: nobody can read them before COMMIT */
  refuseSpooled(tables: readonly number[]): void {
    const { transaction } = this;
    if (transaction === null || transaction.spooled.size === 0) return;
    const found = tables.find((id) => transaction.spooled.has(id));
    if (found !== undefined) throw spooledError(this.catalog.relations.get(found)?.name ?? '');
  }

  /** Uncommitted rows of those of `tables` that have any. @throws SqlError as refuseSpooled */
  overlayOf(tables: readonly number[]): OverlayImage[] {
    const { transaction } = this;
    if (transaction === null) return [];
    this.refuseSpooled(tables);
    const images: OverlayImage[] = [];
    for (const relation of tables) {
      const overlay = transaction.overlay.shown(relation);
      const table = this.catalog.relations.get(relation);
      if (overlay === undefined || table?.kind !== 'table') continue;
      images.push({
        relation,
        revision: overlay.revision,
        truncated: overlay.truncated,
        columns: table.columns.map((column) => column.id),
        rows: [...overlay.rows.values()],
      });
    }
    return images;
  }

  /** A request for text of our own over some tables. */
  request(
    text: string,
    parameters: Readonly<Record<string, Datum>>,
    tables: readonly number[],
    catalogVersion: number | null = null,
  ): QueryRequest {
    // A transaction with DDL of its own sees a catalog that is in no file, and keeps other DDL out.
    const own = (this.transaction?.catalog ?? null) !== null;
    const overlay = this.overlayOf(tables);
    for (const rows of this.transaction?.parts?.given ?? []) {
      if (text.includes(overlayTable(rows.relation))) overlay.push(rows);
    }
    return {
      text,
      parameters,
      overlay,
      standIns: this.standInsOf(tables),
      catalogVersion: own ? null : catalogVersion,
      aligned: spansShards(this.catalog, tables),
    };
  }

  /** Tables whose shape the transaction's own DDL has changed: their files still have the old one. */
  standInsOf(tables: readonly number[]): StandIn[] {
    const changed = this.transaction?.catalog ?? null;
    if (changed === null) return [];
    const committed = this.services.catalog();
    return tables.flatMap((id) => {
      const table = changed.relations.get(id);
      const before = committed.relations.get(id);
      if (table?.kind !== 'table' || table === before) return [];
      return [standIn(table, before?.kind === 'table' ? before : null)];
    });
  }
}

/** Whether the tables lie in several shard files, of which one SQLite statement could see different heights. */
export function spansShards(catalog: Catalog, tables: readonly number[]): boolean {
  let shard = -1;
  for (const id of tables) {
    const table = catalog.relations.get(id);
    if (table?.kind !== 'table') continue;
    for (const part of partsOf(table)) {
      if (shard >= 0 && part.shard !== shard) return true;
      shard = part.shard;
    }
  }
  return false;
}

export function roleNamed(catalog: Catalog, name: string): Role | undefined {
  for (const role of catalog.roles.values()) if (role.name === name) return role;
  return undefined;
}

function spooledError(table: string): SqlError {
  return new SqlError(
    SQLSTATE.featureNotSupported,
    `table "${table}" cannot be looked at in the transaction that has loaded it`,
    {
      detail:
        'A large COPY goes to the ledger while it runs; its rows are there when the transaction commits.',
      hint: 'COMMIT first.',
    },
  );
}

export function isolationOf(text: string): Isolation {
  return text === 'serializable' || text === 'repeatable read' ? text : 'read committed';
}
