// The node as the protocol sees it: who may log in, sessions, cancel requests. Shell.

import { randomInt } from 'node:crypto';
import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { Role } from '../ledger/catalog.ts';
import type {
  Backend,
  ScramVerifier,
  Session as WireSession,
  SessionEvents,
  StartupParameters,
} from './pgwire/backend.ts';
import { Activity, activityRows } from './session/activity.ts';
import { SessionContext } from './session/context.ts';
import type { NodeServices } from './session/services.ts';
import { Session } from './session/session.ts';
import { Settings } from './session/settings.ts';

const PROCESS_ID_MAX = 0x7fff_ffff;
/** The wire has 32 signed bits for it. */
const SECRET_MAX = 0x7fff_ffff;

/** Start-up parameters that are not settings. */
const NOT_SETTINGS = new Set(['user', 'database', 'options', 'replication']);

export interface BackendOptions {
  readonly services: NodeServices;
  /** Defaults of the node's configuration, as settings. */
  readonly defaults: ReadonlyMap<string, string>;
  /** Tells the operator, and not the client, why the right password of a role is refused here. */
  readonly onHostedElsewhere: (role: string) => void;
}

export class NodeBackend implements Backend {
  readonly #options: BackendOptions;
  readonly #sessions = new Map<number, Session>();
  #nextProcessId = 1;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  verifier(user: string): ScramVerifier | undefined {
    const role = this.#role(user);
    if (role === undefined || !role.login || role.verifierCommitment === null) return undefined;
    if (role.validUntil !== null && role.validUntil < this.#options.services.nowMicros())
      return undefined;
    const verifier = this.#options.services.keyring.verifierOf(role.verifierCommitment);
    // The client hears what it would hear of a role that does not exist.
    if (verifier === undefined) this.#options.onHostedElsewhere(role.name);
    return verifier;
  }

  open(startup: StartupParameters, events: SessionEvents): WireSession {
    const { services, defaults } = this.#options;
    const role = this.#role(startup.user);
    if (role === undefined) {
      throw new SqlError(
        SQLSTATE.invalidAuthorizationSpecification,
        `role "${startup.user}" does not exist`,
      );
    }
    if (!role.login) {
      throw new SqlError(
        SQLSTATE.invalidAuthorizationSpecification,
        `role "${role.name}" is not permitted to log in`,
      );
    }
    if (startup.database !== services.database) {
      throw new SqlError(
        SQLSTATE.invalidCatalogName,
        `database "${startup.database}" does not exist`,
      );
    }
    this.#checkLimit(role);
    const settings = new Settings();
    for (const [name, value] of defaults) settings.setDefault(name, value);
    settings.setFixed('session_authorization', role.name);
    settings.setFixed('in_hot_standby', () => (services.isReadOnly() ? 'on' : 'off'));
    applyStartup(settings, startup);
    const { remotePort: port, encrypted } = startup;
    // An IPv4 client of a socket that takes IPv6 too is shown as IPv4.
    const address = startup.remoteAddress.replace(/^::ffff:/, '');
    const activity = new Activity({ address, port, encrypted }, services.nowMicros());
    const context = new SessionContext(services, settings, this.#processId(), role, activity);
    const session = new Session(context, randomInt(SECRET_MAX), events, (closed) => {
      this.#sessions.delete(closed.processId);
    });
    this.#sessions.set(session.processId, session);
    return session;
  }

  cancel(processId: number, secretKey: number): void {
    const session = this.#sessions.get(processId);
    if (session !== undefined && session.secretKey === secretKey) session.cancel();
  }

  /** The role that a session has logged in as. */
  roleOf(processId: number): Role | null {
    const role = this.#sessions.get(processId)?.context.sessionRole ?? null;
    return role && (this.#options.services.catalog().roles.get(role.id) ?? role);
  }

  /** pg_stat_activity, as a role may see it. */
  activity(role: string): object[] {
    const contexts = [...this.#sessions.values()].map(({ context }) => context);
    return activityRows(contexts, this.#options.services.catalog(), role);
  }

  /** pg_cancel_backend. */
  cancelSession(processId: number): boolean {
    const session = this.#sessions.get(processId);
    session?.cancel();
    return session !== undefined;
  }

  /** pg_terminate_backend. */
  terminate(processId: number): boolean {
    const session = this.#sessions.get(processId);
    session?.terminate(
      new SqlError(SQLSTATE.adminShutdown, 'terminating connection due to administrator command'),
    );
    return session !== undefined;
  }

  #checkLimit(role: Role): void {
    if (role.connectionLimit < 0 || role.superuser) return;
    let count = 0;
    for (const { context } of this.#sessions.values())
      if (context.sessionRole.id === role.id) count += 1;
    if (count >= role.connectionLimit) {
      throw new SqlError(
        SQLSTATE.tooManyConnections,
        `too many connections for role "${role.name}"`,
      );
    }
  }

  #role(name: string): Role | undefined {
    for (const role of this.#options.services.catalog().roles.values())
      if (role.name === name) return role;
    return undefined;
  }

  #processId(): number {
    do {
      this.#nextProcessId = (this.#nextProcessId % PROCESS_ID_MAX) + 1;
    } while (this.#sessions.has(this.#nextProcessId));
    return this.#nextProcessId;
  }
}

/** @throws SqlError 42704 for an unknown parameter, 22023 for a bad value */
function applyStartup(settings: Settings, startup: StartupParameters): void {
  for (const [name, value] of startupOptions(startup.settings.get('options') ?? '')) {
    settings.setDefault(name, value);
  }
  for (const [name, value] of startup.settings) {
    if (NOT_SETTINGS.has(name) || name.startsWith('_pq_.')) continue;
    // asyncpg sends the encoding in quotes.
    settings.setDefault(name, name === 'client_encoding' ? value.replaceAll("'", '') : value);
  }
}

/** The settings in `-c name=value --name=value`, with backslash escapes. */
function startupOptions(text: string): [string, string][] {
  const words: string[] = [];
  let word = '';
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i]!;
    if (character === '\\' && i + 1 < text.length) word += text[(i += 1)];
    else if (/\s/.test(character)) {
      if (word !== '') words.push(word);
      word = '';
    } else word += character;
  }
  if (word !== '') words.push(word);
  const settings: [string, string][] = [];
  for (let i = 0; i < words.length; i += 1) {
    let option = words[i]!;
    if (option === '-c') option = words[(i += 1)] ?? '';
    else if (option.startsWith('-c')) option = option.slice(2);
    else if (option.startsWith('--')) option = option.slice(2);
    else
      throw new SqlError(
        SQLSTATE.syntaxError,
        `invalid command-line argument for server process: ${option}`,
      );
    const at = option.indexOf('=');
    if (at < 1) throw new SqlError(SQLSTATE.syntaxError, `-c ${option} requires a value`);
    settings.push([option.slice(0, at).replaceAll('-', '_'), option.slice(at + 1)]);
  }
  return settings;
}
