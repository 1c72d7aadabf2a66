// Why a running statement must stop, once there is a reason: cancel, time-out, disconnect, shutdown. Pure.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Stop } from '../readers/reader-pool.ts';

export class StopSignal implements Stop {
  #reason: SqlError | null = null;
  #callback: ((reason: SqlError) => void) | null = null;

  get reason(): SqlError | null {
    return this.#reason;
  }

  onStop(callback: (reason: SqlError) => void): void {
    this.#callback = callback;
    if (this.#reason !== null) callback(this.#reason);
  }

  /** Tells whatever is running to stop. The first reason counts. */
  stop(reason: SqlError): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#callback?.(reason);
  }

  /** A new statement begins. */
  reset(): void {
    this.#reason = null;
    this.#callback = null;
  }

  /** @throws the reason, if there is one */
  check(): void {
    if (this.#reason !== null) throw this.#reason;
  }
}

export function canceledByUser(): SqlError {
  return new SqlError(SQLSTATE.queryCanceled, 'canceling statement due to user request');
}

export function statementTimeout(): SqlError {
  return new SqlError(SQLSTATE.queryCanceled, 'canceling statement due to statement timeout');
}

export function lockTimeout(): SqlError {
  return new SqlError(SQLSTATE.lockNotAvailable, 'canceling statement due to lock timeout');
}
