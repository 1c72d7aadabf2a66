// Writes on their way to the chain that took no locks, because nobody held any when they left. Pure.
//
// A statement on its own needs no lock while the lock table is empty. Whoever locks a row or a key afterwards
// lets what is under way arrive first: then what it reads under its lock stays.

export class UnlockedWrites {
  readonly #byRelation = new Map<number, Set<Promise<unknown>>>();

  /** Remembers a write of `relation` until it is settled. */
  track<T>(relation: number, write: Promise<T>): Promise<T> {
    let writes = this.#byRelation.get(relation);
    if (writes === undefined) this.#byRelation.set(relation, (writes = new Set()));
    const settled = (): void => {
      writes.delete(write);
      if (writes.size === 0) this.#byRelation.delete(relation);
    };
    writes.add(write);
    // Before whoever waits for it goes on.
    write.then(settled, settled);
    return write;
  }

  /** Waits for the writes of `relation` that are under way now, whatever becomes of them. */
  async settled(relation: number): Promise<void> {
    const writes = this.#byRelation.get(relation);
    if (writes !== undefined) await Promise.allSettled(writes);
  }
}
