// Names that were seen a short while ago. Pure.
//
// It holds at least the newest `max` and less than twice as many, and forgets the older ones together: cheaper than to order
// them by use.

export class RecentSet {
  readonly #max: number;
  #recent = new Set<string>();
  #before = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  has(name: string): boolean {
    return this.#recent.has(name) || this.#before.has(name);
  }

  add(name: string): void {
    this.#recent.add(name);
    if (this.#recent.size < this.#max) return;
    this.#before = this.#recent;
    this.#recent = new Set();
  }
}
