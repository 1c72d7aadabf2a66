// The log: one event, one line. Shell.
//
// JSON for machines, one readable line for a person at a terminal; always to standard error.
//
// (1) An event has a fixed name and fields; what varies is never part of the name, so that lines can be counted.
// (2) Fields whose name says secret are never written, whatever they hold.

import type { Clock } from './clock.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  error(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  debug(event: string, fields?: LogFields): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'human';
  readonly clock: Clock;
  /** Takes one line with its newline. */
  readonly write: (line: string) => void;
}

export const LOG_LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

const SECRET = /password|secret|seed|verifier|masterkey|privatekey|adminurl/i;

/** Characters of one field's text: a statement of megabytes does not belong in a log. */
const FIELD_CHARACTERS_MAX = 2_000;

export function makeLog(options: LogOptions): Log {
  const rank = LOG_LEVELS.indexOf(options.level);
  const at =
    (level: LogLevel) =>
    (event: string, fields: LogFields = {}): void => {
      if (LOG_LEVELS.indexOf(level) > rank) return;
      const time = new Date(options.clock.now()).toISOString();
      const shown = Object.entries(fields).map(([name, value]) => [name, printable(name, value)]);
      options.write(
        options.format === 'json'
          ? `${JSON.stringify({ time, level, event, ...Object.fromEntries(shown) })}\n`
          : `${humanLine(time, level, event, shown)}\n`,
      );
    };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

function humanLine(time: string, level: LogLevel, event: string, fields: unknown[][]): string {
  const pairs = fields.map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `${String(name)}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
  });
  return [time.slice(11, 23), level.padEnd(5), event, ...pairs].join(' ');
}

function printable(name: string, value: unknown): unknown {
  if (SECRET.test(name)) return '[secret]';
  if (typeof value === 'bigint') return value.toString();
  if (value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  const text = Error.isError(value) ? (value.stack ?? value.message) : value;
  if (typeof text !== 'string' || text.length <= FIELD_CHARACTERS_MAX) return text;
  return `${text.slice(0, FIELD_CHARACTERS_MAX)}…`;
}
