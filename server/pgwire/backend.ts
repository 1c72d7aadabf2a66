// What the protocol asks of the rest of the node; server/session/ fits it. Types only.
//
// (1) Calls on one session never overlap: connection.ts awaits each before the next. `cancel` and `close` may
//     come at any time.
// (2) A method that returns `T | Promise<T>` returns plainly when it can: the wire must not pay a turn of the
//     event loop for a point read.
// (3) Errors are SqlErrors. After an error in the extended protocol, connection.ts skips to Sync and then
//     calls `sync`; a failed transaction block stays failed until its end (status E).

import type { SqlError } from '../../ledger/error.ts';

export type TransactionStatus = 'I' | 'T' | 'E';

/** One result column as RowDescription wants it. */
export interface ColumnDescription {
  readonly name: string;
  /** OID of the table and number of the column it comes from; 0 otherwise. */
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeOid: number;
  /** pg_type.typlen. */
  readonly typeSize: number;
  readonly typmod: number;
}

export interface StatementDescription {
  readonly parameterOids: readonly number[];
  /** null: the statement returns no rows (NoData). */
  readonly columns: readonly ColumnDescription[] | null;
}

/**
 * Where the results of one statement go. Implemented by connection.ts.
 *
 * Everything written is buffered and flushed by the connection. `rows` takes finished DataRow messages
 * (type byte, length, body), one or many back to back, and says whether the client keeps up: when it returns
 * false the producer awaits `drained` before it writes more; `drained` rejects with 08006 when the client is
 * gone. Bytes are copied before `rows` and `copyData` return: their buffer may be used again.
 */
export interface ResultSink {
  /** RowDescription; only in the simple protocol (Describe does it in the extended one). */
  columns(columns: readonly ColumnDescription[], formats: readonly number[]): void;
  rows(dataRows: Uint8Array): boolean;
  drained(): Promise<void>;
  commandComplete(tag: string): void;
  emptyQuery(): void;
  notice(severity: 'NOTICE' | 'WARNING' | 'INFO' | 'LOG' | 'DEBUG', notice: SqlError): void;
  /**
   * COPY FROM STDIN: switches the connection to copy-in mode and yields the data until CopyDone;
   * throws 57014 on CopyFail, 08006 when the client is gone. Bounds of CopyData messages are not
   * kept. `return` ends it at once, also while `next` waits: so does a cancelled copy get out.
   */
  copyIn(format: number, columnFormats: readonly number[]): AsyncIterableIterator<Uint8Array>;
  /** COPY TO STDOUT: CopyOutResponse; then `copyData`, then `copyDone`. */
  copyOut(format: number, columnFormats: readonly number[]): void;
  copyData(data: Uint8Array): boolean;
  copyDone(): void;
}

export interface Session {
  /** For ReadyForQuery. */
  readonly status: TransactionStatus;
  /** Names and values for the ParameterStatus before it: of what has changed since the last call, at first of all. */
  takeChangedParameters(): readonly (readonly [string, string])[];
  readonly processId: number;
  /** 4 bytes. */
  readonly secretKey: number;

  /**
   * Parse. `parameterOids` may be shorter than the parameters; 0 means infer. Name '' is the
   * unnamed statement.
   */
  parse(name: string, text: string, parameterOids: readonly number[]): void | Promise<void>;
  /**
   * Bind. A null value is SQL NULL; formats follow the protocol's rule (none, one for all, or one
   * each).
   */
  bind(
    portal: string,
    statement: string,
    values: readonly (Uint8Array | null)[],
    formats: readonly number[],
    resultFormats: readonly number[],
  ): void | Promise<void>;
  describeStatement(name: string): StatementDescription | Promise<StatementDescription>;
  /** Columns of the portal with the formats it was bound with, or null for NoData. */
  describePortal(name: string):
    | { readonly columns: readonly ColumnDescription[]; readonly formats: readonly number[] }
    | null
    | Promise<{
        readonly columns: readonly ColumnDescription[];
        readonly formats: readonly number[];
      } | null>;
  /**
   * Execute. Sends rows, then either commandComplete or emptyQuery on the sink and returns 'complete', or
   * returns 'suspended' after `rowsMax` rows (0: no limit) and keeps the portal.
   */
  execute(
    portal: string,
    rowsMax: number,
    sink: ResultSink,
  ): 'complete' | 'suspended' | Promise<'complete' | 'suspended'>;
  /** Close; no error when there is nothing of that name. */
  closeStatement(name: string): void | Promise<void>;
  closePortal(name: string): void | Promise<void>;
  /**
   * Flush: brings out what `execute` has held back. (A write that stands alone before a Sync is answered in
   * `sync`, after its commit; its commandComplete goes to the sink then. Any other call answers it first.)
   */
  flush(): void | Promise<void>;
  /**
   * Sync: ends the implicit transaction: commits, or rolls back when `failed`. May throw the
   * commit's error.
   */
  sync(failed: boolean): void | Promise<void>;

  /**
   * Query: all its statements, as one implicit transaction; columns and rows in text format. Throws
   * the first error after undoing the implicit transaction.
   */
  query(text: string, sink: ResultSink): void | Promise<void>;

  /** CancelRequest: the running statement ends with 57014; nothing happens when none runs. */
  cancel(): void;
  /** The client is gone (or is sent away): rolls back, frees everything. */
  close(): Promise<void>;
}

/** Pushed by the session to its connection, outside or inside queries. */
export interface SessionEvents {
  /** The session ends with this error (57P01, 25P03, …): sent as FATAL, then the socket closes. */
  terminate(error: SqlError): void;
}

/** SCRAM verifier of RFC 5802, as kept for a role. */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export interface StartupParameters {
  readonly user: string;
  readonly database: string;
  /** All other start-up parameters, `options` not yet taken apart. */
  readonly settings: ReadonlyMap<string, string>;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly encrypted: boolean;
}

export interface Backend {
  /**
   * The verifier of a role that may log in here; undefined for an unknown role (connection.ts then runs SCRAM
   * against a mock verifier, so that names cannot be probed, and ends in 28P01).
   */
  verifier(user: string): ScramVerifier | undefined | Promise<ScramVerifier | undefined>;
  /**
   * After authentication. Throws 3D000, 28000, 53300, 57P03, 42704 (unknown start-up parameter).
   */
  open(startup: StartupParameters, events: SessionEvents): Session | Promise<Session>;
  cancel(processId: number, secretKey: number): void;
}
