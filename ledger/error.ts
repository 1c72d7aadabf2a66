// The errors of the house. Pure.
//
// Three kinds, three fates: a SqlError is the client's mistake or a fact about the data, travels to the
// client as it is and is deterministic, so it may be the outcome of a transaction on the chain; a
// StorageError is the world's fault and stops the node or turns it read-only; an AssertionError is ours
// and stops the process.
//
// Foreign errors are never recognised by `instanceof`: realms differ (jest, workers). Use the predicates.

/** Optional fields of an error response; the names follow the protocol's field types. */
export interface SqlErrorFields {
  readonly detail?: string;
  readonly hint?: string;
  /** 1-based, in characters of the statement text. */
  readonly position?: number;
  readonly where?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly dataType?: string;
  readonly constraint?: string;
}

/** The only error a client ever sees. The SQLSTATE is chosen where the fault is known. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  /** Five characters; the names are in `ledger/sqlstate.ts`. */
  readonly sqlstate: string;
  readonly fields: SqlErrorFields;
  constructor(sqlstate: string, message: string, fields: SqlErrorFields = {}) {
    super(message);
    this.sqlstate = sqlstate;
    this.fields = fields;
  }
}

export function isSqlError(error: unknown): error is SqlError {
  return Error.isError(error) && error.name === 'SqlError';
}

/** What can go wrong with files: `damaged` bytes, `foreign` data, `locked` by another process, `full` or failing disk. */
export type StorageFault = 'damaged' | 'foreign' | 'locked' | 'full' | 'io';

/** The world's fault. Never part of replicated state. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly fault: StorageFault;
  constructor(fault: StorageFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

export function isStorageError(error: unknown): error is StorageError {
  return Error.isError(error) && error.name === 'StorageError';
}

/**
 * Bytes that are not what they should be: the only error of a decoder. Deterministic, but never shown to a
 * client as it is: whoever reads the bytes knows whether they are a peer's, a file's or a client's.
 */
export class FormatError extends Error {
  override readonly name = 'FormatError';
  /** Offset of the fault in the bytes that were read, or -1 when a value could not be encoded. */
  readonly offset: number;
  constructor(message: string, offset = -1) {
    super(offset < 0 ? message : `${message} at byte ${offset}`);
    this.offset = offset;
  }
}

export function isFormatError(error: unknown): error is FormatError {
  return Error.isError(error) && error.name === 'FormatError';
}

/** What `decode` gives; null for bytes that are no encoding. Any other error goes on. */
export function tryDecode<T>(decode: () => T): T | null {
  try {
    return decode();
  } catch (error) {
    if (isFormatError(error)) return null;
    throw error;
  }
}

/** A broken invariant of ours. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}
