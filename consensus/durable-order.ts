// What must be on disk before something is said, in the order in which the replica said it. Shell.
//
// Votes go into the log, confirmed blocks into the ledger: two files, one order. Each waits for the one before,
// so a crash loses an end and never something in the middle.

import { decodeHeader } from '../ledger/encoding.ts';
import { decodeDurable } from './core/codec.ts';

/** The log of votes; storage/vote-log.ts fits it. */
export interface ConsensusLog {
  /** What was found at the start. */
  readonly records: readonly Uint8Array[];
  /** False when some of it was changed or lost: the node must not vote by it. */
  readonly sound: boolean;
  isFull(records: readonly Uint8Array[]): boolean;
  /** Resolves when they are on disk. */
  append(records: readonly Uint8Array[]): Promise<void>;
  /** Forgets all but these; resolves when they are on disk. Nothing is appended meanwhile. */
  restart(records: readonly Uint8Array[]): Promise<void>;
}

type Step =
  | { readonly kind: 'persist'; readonly token: number; readonly records: readonly Uint8Array[] }
  /** Resolves with true when the block is on disk, with false when it never will be, because the node stops. */
  | { readonly kind: 'store'; readonly height: number; readonly store: () => Promise<boolean> };

export interface DurableOrderOptions {
  readonly log: ConsensusLog;
  /** Of the newest block in the ledger. */
  readonly height: number;
  /** Everything up to this token is on disk. */
  readonly onDurable: (token: number) => void;
  readonly onFailure: (error: unknown) => void;
}

export class DurableOrder {
  readonly #options: DurableOrderOptions;
  #steps: Step[] = [];
  #running: Promise<void> | null = null;
  #over = false;
  /** What a new log must begin with: the newest state, and blocks that the ledger does not hold. */
  #state: Uint8Array | null = null;
  #blocks: { readonly height: number; readonly record: Uint8Array }[] = [];
  #height: number;

  constructor(options: DurableOrderOptions) {
    this.#options = options;
    this.#height = options.height;
    this.#keep(options.log.records);
  }

  persist(token: number, records: readonly Uint8Array[]): void {
    this.#add({ kind: 'persist', token, records });
  }

  store(height: number, store: () => Promise<boolean>): void {
    this.#add({ kind: 'store', height, store });
  }

  /** Resolves when everything added so far is on disk, or the order has ended. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  #add(step: Step): void {
    // After the end nothing more is written, and nothing that waits is said.
    if (this.#over) return;
    this.#steps.push(step);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    try {
      // What is added in this turn shares a sync.
      await Promise.resolve();
      for (let step = this.#steps[0]; step !== undefined; step = this.#steps[0]) {
        if (step.kind === 'store') {
          this.#steps.shift();
          if (!(await step.store())) return this.#end();
          this.#stored(step.height);
        } else {
          await this.#write();
        }
      }
    } catch (error) {
      this.#end();
      this.#options.onFailure(error);
    } finally {
      this.#running = null;
    }
  }

  #end(): void {
    this.#over = true;
    this.#steps = [];
  }

  /** Writes all that is to be persisted before the next block is stored. */
  async #write(): Promise<void> {
    const { log, onDurable } = this.#options;
    let token = 0;
    const records: Uint8Array[] = [];
    for (let step = this.#steps[0]; step?.kind === 'persist'; step = this.#steps[0]) {
      this.#steps.shift();
      token = step.token;
      records.push(...step.records);
    }
    this.#keep(records);
    if (log.isFull(records)) await log.restart(this.#kept());
    else await log.append(records);
    onDurable(token);
  }

  #keep(records: readonly Uint8Array[]): void {
    for (const record of records) {
      const durable = decodeDurable(record);
      if (durable.kind === 'state') {
        this.#state = record;
        continue;
      }
      const { height } = decodeHeader(durable.block.header);
      if (height > this.#height) this.#blocks.push({ height, record });
    }
  }

  #kept(): Uint8Array[] {
    const blocks = this.#blocks.map(({ record }) => record);
    return this.#state === null ? blocks : [...blocks, this.#state];
  }

  #stored(height: number): void {
    this.#height = height;
    this.#blocks = this.#blocks.filter((block) => block.height > height);
  }
}
