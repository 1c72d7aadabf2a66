// Foreign keys that an open transaction checks at COMMIT, and the checks it owes for them. Pure.
//
// What must hold: a check looks at the rows as they are when it runs, so it may run more than once, and a row
// that has been mended or is gone by then is no violation.

import type { ForeignKey } from '../../ledger/catalog.ts';

/** One check that is owed; `run` throws 23503. */
export interface DeferredCheck {
  /** Id of the foreign key. */
  readonly foreignKey: number;
  readonly run: () => void | Promise<void>;
}

/** SET CONSTRAINTS so far: `all` for those not named since, then by id; true is DEFERRED. */
interface Modes {
  readonly all: boolean | null;
  readonly named: ReadonlyMap<number, boolean>;
}

/** What a savepoint remembers. */
export interface DeferredMark {
  readonly modes: Modes;
  readonly owed: number;
}

export class DeferredConstraints {
  #modes: Modes = { all: null, named: new Map() };
  readonly #owed: DeferredCheck[] = [];

  /** Whether the foreign key is left for COMMIT now. */
  isDeferred({ id, deferrable, initiallyDeferred }: ForeignKey): boolean {
    return deferrable && (this.#modes.named.get(id) ?? this.#modes.all ?? initiallyDeferred);
  }

  owe(check: DeferredCheck): void {
    this.#owed.push(check);
  }

  /** SET CONSTRAINTS; `ids` is null for ALL. */
  set(ids: readonly number[] | null, deferred: boolean): void {
    if (ids === null) {
      this.#modes = { all: deferred, named: new Map() };
      return;
    }
    const named = new Map(this.#modes.named);
    for (const id of ids) named.set(id, deferred);
    this.#modes = { ...this.#modes, named };
  }

  /**
   * Runs the checks that are owed; `ids` is null for all of them.
   *
   * @param pause  called after each: what to wait for before the next
   * @throws SqlError 23503
   */
  async check(
    ids: readonly number[] | null,
    pause: () => Promise<void> | undefined,
  ): Promise<void> {
    for (const { foreignKey, run } of this.#owed) {
      if (ids !== null && !ids.includes(foreignKey)) continue;
      const wait = run() ?? pause();
      if (wait !== undefined) await wait;
    }
  }

  /** Whether nothing is owed. */
  get settled(): boolean {
    return this.#owed.length === 0;
  }

  mark(): DeferredMark {
    return { modes: this.#modes, owed: this.#owed.length };
  }

  rollbackTo({ modes, owed }: DeferredMark): void {
    this.#modes = modes;
    this.#owed.length = owed;
  }
}
