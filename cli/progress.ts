// Progress of long work: how much, how fast, how long still. Pure: time and terminal are given.

import type { Clock } from '../server/clock.ts';

export interface ProgressOptions {
  readonly clock: Clock;
  readonly write: (text: string) => void;
  /** A terminal gets one line that is rewritten; a file gets a line now and then. */
  readonly terminal: boolean;
}

const TERMINAL_EVERY_MS = 200;
const FILE_EVERY_MS = 10_000;
const ERASE_LINE = '\r\x1b[K';

export class Progress {
  readonly #options: ProgressOptions;
  #stage = '';
  #stageBegan = 0;
  #lastWritten = -Infinity;
  #open = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  /** @param total  null when it is not known */
  update(stage: string, done: number, total: number | null): void {
    const { clock, terminal } = this.#options;
    const now = clock.elapsed();
    const begins = stage !== this.#stage;
    if (begins) {
      this.#stage = stage;
      this.#stageBegan = now;
    }
    const every = terminal ? TERMINAL_EVERY_MS : FILE_EVERY_MS;
    if (!begins && done !== total && now - this.#lastWritten < every) return;
    this.#lastWritten = now;
    const line = progressLine(stage, done, total, now - this.#stageBegan);
    this.#options.write(terminal ? `${ERASE_LINE}${line}` : `${line}\n`);
    this.#open = terminal;
  }

  /** Clears the line, so that what follows begins at the margin. */
  finish(): void {
    if (this.#open) this.#options.write(ERASE_LINE);
    this.#open = false;
  }
}

/** `blocks 1,200 of 5,000 (24 %), 600/s, 6 s left`. */
export function progressLine(
  stage: string,
  done: number,
  total: number | null,
  elapsedMs: number,
): string {
  const parts = [total === null ? `${stage} ${count(done)}` : share(stage, done, total)];
  if (elapsedMs >= TERMINAL_EVERY_MS && done > 0) {
    const perSecond = (done / elapsedMs) * 1_000;
    parts.push(`${count(Math.round(perSecond))}/s`);
    if (total !== null && done < total) parts.push(`${duration((total - done) / perSecond)} left`);
  }
  return parts.join(', ');
}

function share(stage: string, done: number, total: number): string {
  const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
  return `${stage} ${count(done)} of ${count(total)} (${percent} %)`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}
