// Where a session writes its results: a ResultSink on a channel. Shell.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ColumnDescription, ResultSink } from './backend.ts';
import type { Channel } from './channel.ts';
import { CopyIn } from './copy-in.ts';
import type { CopyInHost } from './copy-in.ts';
import {
  commandComplete,
  COPY_DONE,
  copyDataHeader,
  EMPTY_QUERY_RESPONSE,
  encode,
  rowDescription,
} from './encode.ts';
import { errorFields } from './error-response.ts';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: SqlError) => void;
}

export class ChannelSink implements ResultSink {
  /** The copy in progress: messages are its, not the query loop's. */
  copying: CopyIn | undefined;
  readonly #channel: Channel;
  readonly #host: CopyInHost;
  #waiters: Waiter[] = [];

  /** @param broken the connection has to end: see CopyInHost */
  constructor(channel: Channel, broken: (error: unknown) => void) {
    this.#channel = channel;
    this.#host = {
      framer: channel.framer,
      waiting: (waiting) => {
        channel.working = !waiting;
      },
      broken,
      over: () => {
        this.copying = undefined;
      },
    };
  }

  columns(columns: readonly ColumnDescription[], formats: readonly number[]): void {
    this.#channel.write(rowDescription(columns, formats));
  }

  rows(dataRows: Uint8Array): boolean {
    this.#channel.write(dataRows);
    return !this.#channel.congested;
  }

  drained(): Promise<void> {
    if (this.#channel.over) return Promise.reject(lostConnection());
    if (!this.#channel.congested) return Promise.resolve();
    this.#channel.awaitDrain();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  commandComplete(tag: string): void {
    this.#channel.write(commandComplete(tag));
  }

  emptyQuery(): void {
    this.#channel.write(EMPTY_QUERY_RESPONSE);
  }

  notice(severity: 'NOTICE' | 'WARNING' | 'INFO' | 'LOG' | 'DEBUG', notice: SqlError): void {
    this.#channel.write(encode({ kind: 'noticeResponse', fields: errorFields(severity, notice) }));
  }

  copyIn(format: number, columnFormats: readonly number[]): AsyncIterableIterator<Uint8Array> {
    this.#channel.write(encode({ kind: 'copyInResponse', format, columnFormats }));
    this.#channel.flush();
    this.copying = new CopyIn(this.#host);
    return this.copying;
  }

  copyOut(format: number, columnFormats: readonly number[]): void {
    this.#channel.write(encode({ kind: 'copyOutResponse', format, columnFormats }));
  }

  copyData(data: Uint8Array): boolean {
    this.#channel.write(copyDataHeader(data.length));
    this.#channel.write(data);
    return !this.#channel.congested;
  }

  copyDone(): void {
    this.#channel.write(COPY_DONE);
  }

  /** The socket took what waited. */
  release(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve();
  }

  /** A command has ended: a copy that it began and did not finish is over. */
  settle(): void {
    void this.copying?.return();
  }

  /** The client is gone or sent away: whoever waits for it learns so. */
  abandon(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(lostConnection());
    this.copying?.abort(lostConnection());
  }
}

function lostConnection(): SqlError {
  return new SqlError(SQLSTATE.connectionFailure, 'connection to client lost');
}
