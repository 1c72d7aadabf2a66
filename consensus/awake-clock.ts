// The time in which this node has run: the clock by which its replica judges who is silent. Pure.
//
// A node that had no processor for a while, or whose thread was busy, finds the clock far ahead at its next tick, and what
// others said meanwhile still waits to be read. Nobody was silent but the node itself: such a tick counts as one.

/** What one tick may count for, in ms: more than its timer is late on a machine that keeps up, less than a heartbeat. */
const TICK_MS_MAX = 40;

export class AwakeClock {
  #lastMs: number | null = null;
  #awakeMs = 0;

  /** @param nowMs  of a clock that never goes back. @returns milliseconds of ticks so far */
  tick(nowMs: number): number {
    this.#awakeMs += Math.min(nowMs - (this.#lastMs ?? nowMs), TICK_MS_MAX);
    this.#lastMs = nowMs;
    return this.#awakeMs;
  }
}
