// Seeded randomness, one stream for each part of a simulation, so that a draw more in one shifts no other. Pure.

export class Stream {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** sfc32 (Doty-Humphrey), seeded by a run's seed and the name of its part. */
  constructor(seed: number, name: string) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < name.length; i++)
      this.#c = Math.imul(this.#c ^ name.charCodeAt(i), 0x85ebca6b);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 32 bits. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** An integer from 0 to below `end`. */
  below(end: number): number {
    return Math.floor((this.next() / 2 ** 32) * end);
  }

  chance(probability: number): boolean {
    return this.next() / 2 ** 32 < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Each item with a probability of a half. */
  some<T>(items: readonly T[]): T[] {
    return items.filter(() => this.chance(0.5));
  }
}
