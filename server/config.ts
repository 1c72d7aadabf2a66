// What an operator may turn: the one type, the one table, the one reader. Pure but for `loadConfig`.
//
// Each option is read in this order: flag, environment (TRUSTSQL_…), file, default. A name that is not in the
// table is an error that says which one was meant: a setting is never silently without effect. What an
// operator should not need to turn lies in server/limits.ts.

import { existsSync, readFileSync } from 'node:fs';

export interface Config {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly peerHost: string;
  readonly peerPort: number;
  readonly peers: string;
  readonly peerProxy: string;
  readonly maxConnections: number;
  readonly readers: number;
  readonly readerMemoryMb: number;
  readonly stateShards: number;
  readonly statementTimeoutMs: number;
  readonly idleInTransactionSessionTimeoutMs: number;
  readonly idleProofMs: number;
  readonly scrubMs: number;
  readonly scrubPeriodHours: number;
  readonly snapshotAgeMaxMs: number;
  readonly shutdownTimeoutMs: number;
  readonly keyFile: string;
  readonly tls: boolean;
  readonly tlsCertificate: string;
  readonly tlsKey: string;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
  readonly logFormat: 'auto' | 'human' | 'json';
}

type Kind =
  | { readonly kind: 'text'; readonly of: string }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  | { readonly kind: 'choice'; readonly of: string; readonly choices: readonly string[] };

/** `of` says in a word what the value is, for --help. */
export type Option<T = unknown> = Kind & {
  readonly initial: T;
  /** One line for --help: what it does, with its unit. */
  readonly help: string;
};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const OPTIONS: { readonly [K in keyof Config]: Option<Config[K]> } = {
  data: { kind: 'text', of: 'directory', initial: './data', help: 'data directory' },
  host: { kind: 'text', of: 'address', initial: '127.0.0.1', help: 'address to listen on' },
  port: integer(5433, 0, 65_535, 'port to listen on; 0 takes a free one'),
  peerHost: {
    kind: 'text',
    of: 'address',
    initial: '127.0.0.1',
    help: 'cluster: address to listen on for peers',
  },
  peerPort: integer(5533, 0, 65_535, 'cluster: port to listen on for peers; 0 takes a free one'),
  peers: {
    kind: 'text',
    of: 'list',
    initial: '',
    help: 'cluster: where peers are, as key@host:port,…; counts before what the chain says',
  },
  peerProxy: {
    kind: 'text',
    of: 'url',
    initial: '',
    help: 'cluster: http://host:port through which peers are dialled',
  },
  maxConnections: integer(100, 1, 10_000, 'clients at a time; more are refused with 53300'),
  readers: integer(2, 1, 64, 'reader processes for queries'),
  readerMemoryMb: integer(
    512,
    192,
    65_536,
    'memory of one reader process, in MiB; above it is ended',
  ),
  stateShards: integer(
    1,
    1,
    8,
    'state files of a new data directory; no effect on an existing one',
  ),
  statementTimeoutMs: integer(0, 0, DAY_MS, 'default statement_timeout, in ms; 0 is none'),
  idleInTransactionSessionTimeoutMs: integer(
    0,
    0,
    DAY_MS,
    'default idle_in_transaction_session_timeout, in ms; 0 is none',
  ),
  idleProofMs: integer(
    1_000,
    10,
    HOUR_MS,
    'when idle, prove the last results after so long, in ms',
  ),
  scrubMs: integer(
    5_000,
    0,
    HOUR_MS,
    'the newest blocks and rows are read anew after so long, in ms; 0 is never',
  ),
  scrubPeriodHours: integer(
    24,
    0,
    8_760,
    'older blocks and rows are read anew once in so long, in hours; 0 is never',
  ),
  snapshotAgeMaxMs: integer(
    HOUR_MS,
    1_000,
    DAY_MS,
    'oldest snapshot of an open transaction, in ms',
  ),
  shutdownTimeoutMs: integer(10_000, 0, HOUR_MS, 'time to drain at SIGTERM, in ms'),
  keyFile: {
    kind: 'text',
    of: 'file',
    initial: '',
    help: 'master key file; default ~/.config/trustsql/<chain>.key',
  },
  tls: { kind: 'boolean', initial: true, help: 'offer TLS' },
  tlsCertificate: {
    kind: 'text',
    of: 'file',
    initial: '',
    help: 'PEM certificate; default a self-signed one in <data>/keys',
  },
  tlsKey: { kind: 'text', of: 'file', initial: '', help: 'PEM private key of tlsCertificate' },
  logLevel: {
    kind: 'choice',
    of: 'level',
    choices: ['error', 'warn', 'info', 'debug'],
    initial: 'info',
    help: 'least level that is logged',
  },
  logFormat: {
    kind: 'choice',
    of: 'format',
    choices: ['auto', 'human', 'json'],
    initial: 'auto',
    help: 'auto: human on a terminal, else json',
  },
};

/** The file that is read when none is named and it is there. */
export const CONFIG_FILE = 'trustsql.config.json';

const PREFIX = 'TRUSTSQL_';
/** Names the configuration file itself; no option of it. */
const CONFIG_VARIABLE = 'TRUSTSQL_CONFIG';

/** A setting that cannot be: unknown name or impossible value. The message is for the operator. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export function isConfigError(error: unknown): error is ConfigError {
  return Error.isError(error) && error.name === 'ConfigError';
}

export type ConfigSources = {
  /** By option name, as the command line gave them. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Parsed file with its name for messages; null without one. */
  readonly file: { readonly name: string; readonly content: unknown } | null;
};

function integer(initial: number, min: number, max: number, help: string): Option<number> {
  return { kind: 'integer', initial, min, max, help };
}

/** `maxConnections` → `--max-connections`. */
export function flagOf(name: string): string {
  return `--${kebab(name)}`;
}

/** `maxConnections` → `TRUSTSQL_MAX_CONNECTIONS`. */
export function variableOf(name: string): string {
  return `${PREFIX}${kebab(name).replaceAll('-', '_').toUpperCase()}`;
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * The configuration from its sources.
 *
 * @throws ConfigError an unknown name in any source, or a value outside its option's range
 */
export function readConfig(sources: ConfigSources): Config {
  const names = Object.keys(OPTIONS) as (keyof Config)[];
  const file = fileEntries(sources.file);
  const environment = environmentEntries(sources.environment, names);
  for (const name of Object.keys(sources.flags)) known(name, names, flagOf(name), flagOf);
  for (const name of Object.keys(file)) {
    known(name, names, `"${name}" in ${sources.file!.name}`, (option) => `"${option}"`);
  }
  const config: Record<string, unknown> = {};
  for (const name of names) {
    const option = OPTIONS[name];
    if (sources.flags[name] !== undefined) {
      config[name] = valueOf(option, sources.flags[name], flagOf(name));
    } else if (environment[name] !== undefined) {
      config[name] = valueOf(option, environment[name], variableOf(name));
    } else if (file[name] !== undefined) {
      config[name] = valueOf(option, file[name], `"${name}" in ${sources.file!.name}`);
    } else {
      config[name] = option.initial;
    }
  }
  return config as unknown as Config;
}

/** `readConfig` from this process: its environment and the file named by `--config`, if any. Shell. */
export function loadConfig(flags: Readonly<Record<string, unknown>>): Config {
  const { config: flagged, ...options } = flags;
  const environment = process.env;
  const named = flagged ?? environment[CONFIG_VARIABLE];
  const name = typeof named === 'string' ? named : CONFIG_FILE;
  if (named === undefined && !existsSync(name)) {
    return readConfig({ flags: options, environment, file: null });
  }
  let text: string;
  try {
    text = readFileSync(name, 'utf8');
  } catch (error) {
    const place = flagged === undefined ? CONFIG_VARIABLE : '--config';
    throw new ConfigError(
      (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? `${place}: there is no file ${name}`
        : `the configuration file ${name} cannot be read: ${(error as Error).message}`,
      { cause: error },
    );
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${name}: ${(error as Error).message}`, { cause: error });
  }
  return readConfig({ flags: options, environment, file: { name, content } });
}

function fileEntries(file: ConfigSources['file']): Readonly<Record<string, unknown>> {
  if (file === null) return {};
  if (typeof file.content !== 'object' || file.content === null || Array.isArray(file.content)) {
    throw new ConfigError(`${file.name}: a JSON object of options is expected`);
  }
  return file.content as Record<string, unknown>;
}

function environmentEntries(
  environment: ConfigSources['environment'],
  names: readonly string[],
): Record<string, string> {
  const byVariable = new Map(names.map((name) => [variableOf(name), name]));
  const entries: Record<string, string> = {};
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || variable === CONFIG_VARIABLE || value === undefined) {
      continue;
    }
    const name = byVariable.get(variable);
    if (name === undefined) throw unknown(variable, [...byVariable.keys()]);
    entries[name] = value;
  }
  return entries;
}

function known(
  name: string,
  names: readonly string[],
  shown: string,
  show: (name: string) => string,
): void {
  if (names.includes(name)) return;
  const meant = nearest(name, names);
  throw new ConfigError(
    `unknown option ${shown}${meant === undefined ? '' : `; did you mean ${show(meant)}?`}`,
  );
}

function unknown(variable: string, variables: readonly string[]): ConfigError {
  const meant = nearest(variable, variables);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  return new ConfigError(`unknown option ${variable}${hint}`);
}

function valueOf(option: Option, given: unknown, where: string): unknown {
  switch (option.kind) {
    case 'text':
      if (typeof given === 'string') return given;
      throw new ConfigError(`${where}: a text is expected`);
    case 'boolean':
      if (given === true || given === 'true' || given === 'on' || given === '1') return true;
      if (given === false || given === 'false' || given === 'off' || given === '0') return false;
      throw new ConfigError(`${where}: true or false is expected`);
    case 'choice':
      if (typeof given === 'string' && option.choices.includes(given)) return given;
      throw new ConfigError(`${where}: one of ${option.choices.join(', ')} is expected`);
    case 'integer': {
      const number = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given;
      const { min, max } = option;
      if (
        typeof number === 'number' &&
        Number.isInteger(number) &&
        number >= min &&
        number <= max
      ) {
        return number;
      }
      throw new ConfigError(`${where}: a whole number from ${min} to ${max} is expected`);
    }
    default:
      return option satisfies never;
  }
}

/** The name that is most alike, if any is alike enough to have been meant. */
function nearest(name: string, names: readonly string[]): string | undefined {
  const normal = (text: string): string => text.toLowerCase().replace(/[-_]/g, '');
  const distances = names.map((other) => ({
    other,
    distance: editDistance(normal(name), normal(other)),
  }));
  const best = distances.toSorted((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= Math.max(2, name.length / 3)
    ? best.other
    : undefined;
}

/** Levenshtein's distance, row by row. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const substitution = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, substitution));
    }
    row = next;
  }
  return row[right.length]!;
}
