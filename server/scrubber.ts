// The thread that re-reads the files, as the main thread has it. Shell.

import { Worker } from 'node:worker_threads';
import { StorageError } from '../ledger/error.ts';
import type { ScrubReply, ScrubRequest, ScrubThreadData } from './scrub-thread.ts';

type Looked = Extract<ScrubReply, { readonly kind: 'looked' }>;
type Request = ScrubRequest extends infer R
  ? R extends { readonly id: number }
    ? Omit<R, 'id'>
    : never
  : never;

interface Waiting {
  resolve(reply: ScrubReply): void;
  reject(error: Error): void;
}

export class Scrubber {
  readonly #directory: string;
  /** Begun with the first question: a node that is not asked and does not look has none. */
  #worker: Worker | null = null;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #over: Error | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  #begun(): Worker {
    const worker = new Worker(new URL('scrub-thread.ts', import.meta.url), {
      workerData: { directory: this.#directory } satisfies ScrubThreadData,
      name: 'scrub',
    });
    worker.on('message', (reply: ScrubReply) => {
      this.#waiting.get(reply.id)?.resolve(reply);
      this.#waiting.delete(reply.id);
    });
    worker.on('error', (error: Error) => this.#end(error));
    worker.on('exit', () => this.#end(new StorageError('io', 'the scrub thread has ended')));
    // It keeps no process alive that ends for another reason.
    worker.unref();
    return worker;
  }

  /**
   * @param certified names of certificates that need not be checked; see storage/certified.ts
   * @throws Error when nothing could be looked at
   */
  async look(kind: 'newest' | 'slice', certified: Uint8Array): Promise<Looked> {
    const reply = await this.#ask({ kind, certified });
    if (reply.kind !== 'looked') throw failureOf(reply);
    return reply;
  }

  /** The encoded answer to an encoded question of a peer. @throws Error */
  async answer(question: Uint8Array): Promise<Uint8Array> {
    // A copy of its own: of a view the whole buffer behind it would go.
    const reply = await this.#ask({ kind: 'answer', question: question.slice() });
    if (reply.kind !== 'answered') throw failureOf(reply);
    return reply.answer;
  }

  async close(): Promise<void> {
    this.#end(new StorageError('io', 'the node stops'));
    await this.#worker?.terminate();
  }

  #ask(request: Request): Promise<ScrubReply> {
    if (this.#over !== null) return Promise.reject(this.#over);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      (this.#worker ??= this.#begun()).postMessage({ id, ...request });
    });
  }

  #end(error: Error): void {
    this.#over ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#over);
    this.#waiting.clear();
  }
}

function failureOf(reply: ScrubReply): Error {
  return new StorageError('io', reply.kind === 'failed' ? reply.message : 'another answer');
}
