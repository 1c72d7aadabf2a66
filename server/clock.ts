// The clock: the only file that reads time. Shell.

export interface Clock {
  /** Milliseconds since 1970-01-01 UTC; may jump when the machine's clock is set. */
  now(): number;
  /** Milliseconds since some fixed moment; never jumps. For durations. */
  elapsed(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
};
