// What an operator must look at: each is logged, and the newest are shown in ledger.alarms. Shell.
//
// An alarm is never about what a client did wrong. They are gone when the node stops; the log is not.

import type { Clock } from './clock.ts';
import { ALARM_MESSAGE_CHARACTERS_MAX, ALARMS_KEPT_MAX } from './limits.ts';
import type { Log } from './log.ts';

export interface Alarm {
  /** From 1 since the node has started; the oldest kept is a later one when some are gone. */
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  /** A word that stays the same, to count by. */
  readonly kind: string;
  readonly message: string;
}

export class Alarms {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #log: Pick<Log, 'error'>;
  readonly #kept: Alarm[] = [];
  #count = 0;

  constructor(clock: Pick<Clock, 'now'>, log: Pick<Log, 'error'>) {
    this.#clock = clock;
    this.#log = log;
  }

  raise(kind: string, text: string): void {
    const message = text.slice(0, ALARM_MESSAGE_CHARACTERS_MAX);
    this.#log.error('alarm', { kind, message });
    this.#count += 1;
    this.#kept.push({ number: this.#count, timeMs: this.#clock.now(), kind, message });
    if (this.#kept.length > ALARMS_KEPT_MAX) this.#kept.shift();
  }

  /** The oldest first. */
  get kept(): readonly Alarm[] {
    return this.#kept;
  }
}
