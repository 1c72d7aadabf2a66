// The data of one COPY FROM STDIN. Shell.
//
// (1) Bounds of CopyData messages carry no meaning and are not kept: what has arrived is handed over in chunks
//     of some COPY_CHUNK_BYTES.
// (2) Flush and Sync are ignored meanwhile, as PostgreSQL does; any other message ends the copy with 08P01.
// (3) `return` may be called while `next` waits: that is how a cancelled copy gets out.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { COPY_CHUNK_BYTES } from '../limits.ts';
import { decode } from './decode.ts';
import type { Framer } from './framer.ts';

export interface CopyInHost {
  readonly framer: Framer;
  /** Before it waits for the client (true) and when there is something again (false). */
  waiting(waiting: boolean): void;
  /** The stream is out of step (`error`) or the client said goodbye (undefined): the connection is to end. */
  broken(error: unknown): void;
  /** The copy is over: messages go to the usual place again. */
  over(): void;
}

interface Waiter {
  readonly resolve: (result: IteratorResult<Uint8Array, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

const DONE: IteratorResult<Uint8Array, undefined> = { done: true, value: undefined };

export class CopyIn implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #host: CopyInHost;
  #over = false;
  /** CopyDone was read behind the data that was handed over last. */
  #complete = false;
  #waiter: Waiter | undefined;

  constructor(host: CopyInHost) {
    this.#host = host;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.received();
    });
  }

  /** Bytes have come. */
  received(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    try {
      const result = this.#gather();
      this.#host.waiting(result === undefined);
      if (result === undefined) return;
      this.#waiter = undefined;
      waiter.resolve(result);
    } catch (error) {
      this.abort(error);
    }
  }

  /** Leaves the copy; what is still to come of it is dropped. */
  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#end();
    this.#waiter?.resolve(DONE);
    this.#waiter = undefined;
    return Promise.resolve(DONE);
  }

  /** Ends the copy with an error. */
  abort(error: unknown): void {
    this.#end();
    this.#waiter?.reject(error);
    this.#waiter = undefined;
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.waiting(false);
    this.#host.over();
  }

  /** Undefined: nothing there yet. */
  #gather(): IteratorResult<Uint8Array, undefined> | undefined {
    if (this.#complete) this.#end();
    if (this.#over) return DONE;
    const { framer } = this.#host;
    const parts: Buffer[] = [];
    let size = 0;
    while (size < COPY_CHUNK_BYTES) {
      const type = this.#nextType();
      if (type === 0) break;
      if (type === 0x64) {
        parts.push(framer.buffer.subarray(framer.start, framer.end));
        size += framer.end - framer.start;
      } else if (type === 0x63) {
        this.#complete = true;
        break;
      } else if (type !== 0x48 && type !== 0x53) {
        throw this.#unexpected(type);
      }
    }
    if (size > 0)
      return { done: false, value: parts.length === 1 ? parts[0]! : Buffer.concat(parts) };
    if (!this.#complete) return undefined;
    this.#end();
    return DONE;
  }

  #nextType(): number {
    try {
      return this.#host.framer.next();
    } catch (error) {
      this.#host.broken(error);
      throw error;
    }
  }

  #unexpected(type: number): SqlError {
    const { buffer, start, end } = this.#host.framer;
    const message = decode(type, buffer, start, end);
    if (message.kind === 'copyFail') {
      return new SqlError(SQLSTATE.queryCanceled, `COPY from stdin failed: ${message.reason}`);
    }
    if (message.kind === 'terminate') {
      this.#host.broken(undefined);
      return new SqlError(
        SQLSTATE.connectionFailure,
        'unexpected EOF on client connection with an open transaction',
      );
    }
    const hex = type.toString(16).toUpperCase().padStart(2, '0');
    return new SqlError(
      SQLSTATE.protocolViolation,
      `unexpected message type 0x${hex} during COPY from stdin`,
    );
  }
}
