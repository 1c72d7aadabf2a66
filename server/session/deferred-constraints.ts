// Foreign keys that an open transaction checks at COMMIT, and the checks it owes for them. Pure.
//
// What must hold: a check looks at the rows as they are when it runs, so it may run more than once, and a row
// that has been mended or is gone by then is no violation.

import type { ForeignKey } from '../../ledger/catalog.ts';

/** One check that is owed; `run` throws 23503. */
export interface DeferredCheck {
  readonly foreignKey: ForeignKey;
  readonly run: () => void | Promise<void>;
}

/** Cascades to other rows; gives back the checks that are left when all such actions are done. */
export type DeferredAction = () => Promise<() => Promise<void>>;

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
  /** Checks owed before the running statement of several parts; null: there is none. */
  #before: number | null = null;
  /** What foreign keys do at its end. */
  #actions: DeferredAction[] = [];

  /** Whether the foreign key is left for later now: for COMMIT, or the end of a statement of several parts. */
  isDeferred({ id, deferrable, initiallyDeferred }: ForeignKey): boolean {
    if (this.#before !== null) return true;
    return deferrable && (this.#modes.named.get(id) ?? this.#modes.all ?? initiallyDeferred);
  }

  /** Whether a statement of several parts runs: foreign keys neither act nor check before its end. */
  get postponed(): boolean {
    return this.#before !== null;
  }

  postpone(): void {
    this.#before = this.#owed.length;
    this.#actions = [];
  }

  act(action: DeferredAction): void {
    this.#actions.push(action);
  }

  /** The statement has failed: its checks go with `rollbackTo`. */
  forget(): void {
    this.#before = null;
  }

  /**
   * The statement is done: acts, and checks what is not left for COMMIT.
   *
   * @param pause  as for `check`
   * @throws SqlError 23503
   */
  async settlePostponed(pause: () => Promise<void> | undefined): Promise<void> {
    const owed = this.#owed.splice(this.#before ?? this.#owed.length);
    this.#before = null;
    const checks: (() => Promise<void>)[] = [];
    for (const action of this.#actions) checks.push(await action());
    for (const check of checks) await check();
    this.#owed.push(...owed.filter(({ foreignKey }) => this.isDeferred(foreignKey)));
    for (const { foreignKey, run } of owed) {
      const wait = this.isDeferred(foreignKey) ? pause() : (run() ?? pause());
      if (wait !== undefined) await wait;
    }
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
      if (ids !== null && !ids.includes(foreignKey.id)) continue;
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
