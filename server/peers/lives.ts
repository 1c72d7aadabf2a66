// Tells a node that was started again from two that run with one key. Pure.
//
// A process says the same instance as long as it lives, so one that comes back after another one was there is still alive:
// somebody has started a copy of a data directory.

export class Lives {
  #newest: string | null = null;
  #before: string | null = null;
  #told = false;

  /** @returns whether that shows two at a time; once for each pair */
  isTwin(instance: string): boolean {
    if (instance === this.#newest) return false;
    const isBack = instance === this.#before;
    if (!isBack) this.#told = false;
    this.#before = this.#newest;
    this.#newest = instance;
    if (!isBack || this.#told) return false;
    this.#told = true;
    return true;
  }
}
