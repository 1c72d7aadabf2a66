// Exit codes and the sentences of errors: the one place where an error becomes what a person reads. Pure.

import { tryFromHex } from '../ledger/bytes.ts';
import { isSqlError, isStorageError } from '../ledger/error.ts';
import { isConfigError } from '../server/config.ts';

export const EXIT = {
  ok: 0,
  /** The answer is no: a verification failed, a statement was refused. */
  negative: 1,
  /** The command line or a setting is wrong. */
  usage: 2,
  /** Cannot start or reach what is needed: port, directory, disk, keys, node. */
  unavailable: 3,
  /** A fault of the program itself (EX_SOFTWARE of sysexits.h). */
  internal: 70,
} as const;

/** An end that the command itself has decided; the message is a sentence for the user. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;
  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Bytes that an option gives in hexadecimal. @throws CommandError 2 for anything else */
export function hexOf(option: string, given: string, bytes: number): Uint8Array {
  const value = tryFromHex(given);
  if (value?.length === bytes) return value;
  throw new CommandError(EXIT.usage, `${option}: ${given} is not ${2 * bytes} hexadecimal digits`);
}

const SYSTEM: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use by another program; choose another with --port or --peer-port',
  EADDRNOTAVAIL: 'this machine has no such address; choose another with --host or --peer-host',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
  ENOENT: 'no such file or directory',
  ECONNREFUSED: 'no node answers there; is it running?',
  ENOTFOUND: 'no such host',
  ETIMEDOUT: 'no answer in time',
  ECONNRESET: 'the connection was closed by the other side',
};

/** What to print, one sentence where it is not our own fault, and how to end. */
export function explain(error: unknown): { readonly exitCode: number; readonly text: string } {
  if (!Error.isError(error)) return { exitCode: EXIT.internal, text: String(error) };
  if (error.name === 'CommandError') {
    return { exitCode: (error as CommandError).exitCode, text: error.message };
  }
  if (isConfigError(error)) return { exitCode: EXIT.usage, text: error.message };
  if (isStorageError(error)) return { exitCode: EXIT.unavailable, text: error.message };
  if (isSqlError(error)) {
    return { exitCode: EXIT.negative, text: `${error.sqlstate}: ${error.message}` };
  }
  const { code, address, port, path } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  const sentence = code === undefined ? undefined : SYSTEM[code];
  if (sentence !== undefined) {
    const place = path ?? (port === undefined ? (address ?? '') : `${address ?? ''}:${port}`);
    return { exitCode: EXIT.unavailable, text: place === '' ? sentence : `${place}: ${sentence}` };
  }
  return { exitCode: EXIT.internal, text: error.stack ?? error.message };
}
