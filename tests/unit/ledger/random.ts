// Seeded randomness for tests: the same seed gives the same values everywhere. Pure.

/** xorshift32 (Marsaglia 2003); plenty for choosing test cases. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  /** An integer from 0 to below `end`. */
  below(end: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % end;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  int64(): bigint {
    const magnitude = new DataView(this.bytes(8).buffer).getBigInt64(0);
    return magnitude >> BigInt(this.below(64));
  }

  float(): number {
    if (this.below(3) === 0) return this.below(1000) / 8;
    const value = new DataView(this.bytes(8).buffer).getFloat64(0);
    return Number.isNaN(value) || value === 0 ? 0.1 : value;
  }

  text(length: number): string {
    return Array.from({ length }, () => this.pick(['a', 'Z', '0', ' ', 'é', '漢', '😀', "'"])).join(
      '',
    );
  }

  /** `bytes` with one to three small damages: changed, dropped, inserted or cut off bytes. */
  damage(bytes: Uint8Array): Uint8Array {
    let damaged = Uint8Array.from(bytes);
    for (let times = 1 + this.below(3); times > 0; times--) {
      const at = this.below(damaged.length + 1);
      const way = this.below(4);
      if (way === 0 && at < damaged.length) damaged[at]! ^= 1 << this.below(8);
      else if (way === 1 && at < damaged.length) damaged[at] = this.below(256);
      else if (way === 2) damaged = damaged.slice(0, at);
      else
        damaged = Uint8Array.from([...damaged.slice(0, at), this.below(256), ...damaged.slice(at)]);
    }
    return damaged;
  }
}
