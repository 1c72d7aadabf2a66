// Lines about the same thing: so many in a span of time, the others counted. Pure.

export class Rate {
  readonly #count: number;
  readonly #spanMs: number;
  #began = -Infinity;
  #given = 0;
  #withheld = 0;

  constructor(count: number, spanMs: number) {
    this.#count = count;
    this.#spanMs = spanMs;
  }

  /** How many were withheld since the last line if there may be one now, else null. @param nowMs never jumps */
  take(nowMs: number): number | null {
    if (nowMs - this.#began >= this.#spanMs) {
      this.#began = nowMs;
      this.#given = 0;
    }
    if (this.#given === this.#count) {
      this.#withheld++;
      return null;
    }
    this.#given++;
    const withheld = this.#withheld;
    this.#withheld = 0;
    return withheld;
  }
}
