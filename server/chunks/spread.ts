// Brings the chunks of this node's sessions to the other members before the transaction that names them is ordered. Shell.
//
// The others are asked to hold them, and fetch what they do not have: each at its own pace, bounded parts at a time.
//
// (1) A chunk is given to its session when as many members have it as must vote for the block: then it can be ordered at once.
// (2) Who holds a chunk is asked again and again as long as a session wants it, and forgets it soon after.

import { hex } from '../../ledger/bytes.ts';
import { HOLD_CHUNKS_MAX } from '../../ledger/encoding-repair.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import {
  CHUNK_HOLD_MS_MAX,
  CHUNK_RENEW_MS,
  CHUNK_RETRY_MS,
  CHUNK_SPREAD_MS_MAX,
  CHUNKS_OFFERED_AT_ONCE,
} from '../limits.ts';
import { askPeer } from '../peers/ask.ts';
import type { Peers } from '../peers/requests.ts';
import type { ChunkKeeper } from './keeper.ts';
import { pause } from './pause.ts';

/** The other members by key in hexadecimal, and how many of them must have a chunk. */
export interface Needed {
  readonly members: readonly string[];
  readonly count: number;
}

export interface ChunkSpreadOptions {
  readonly keeper: Pick<ChunkKeeper, 'put' | 'release'>;
  readonly peers: Peers;
  readonly needed: () => Needed;
  /** For tests. */
  readonly timeoutMs?: number;
}

/** A chunk of this node's sessions. */
interface Own {
  readonly hash: Uint8Array;
  /** Members that have it. */
  readonly at: Set<string>;
  /** Told when enough have it. */
  readonly waiting: Set<() => void>;
  sessions: number;
}

/** What one member was not asked to hold yet. */
interface Line {
  hashes: Uint8Array[];
  running: boolean;
}

export class ChunkSpread {
  readonly #options: ChunkSpreadOptions;
  /** By hash in hexadecimal. */
  readonly #own = new Map<string, Own>();
  readonly #lines = new Map<string, Line>();
  readonly #stopping = new AbortController();
  readonly #renewer: NodeJS.Timeout;
  #renewing = false;

  constructor(options: ChunkSpreadOptions) {
    this.#options = options;
    this.#renewer = setInterval(() => void this.#renew(), CHUNK_RENEW_MS);
  }

  /**
   * Makes a chunk durable here and at as many members as must vote for it; resolves to its hash.
   *
   * @throws SqlError 53000 when they do not have it in time, 54000 when this node holds too much; nothing is held then
   */
  async put(bytes: Uint8Array): Promise<Uint8Array> {
    const { keeper, needed } = this.#options;
    const hash = await keeper.put(bytes);
    const name = hex(hash);
    let own = this.#own.get(name);
    if (own === undefined) {
      own = { hash, at: new Set(), waiting: new Set(), sessions: 0 };
      this.#own.set(name, own);
      for (const key of needed().members) this.#offer(key, hash);
    }
    own.sessions += 1;
    if (await this.#enough(own)) return hash;
    this.drop([hash]);
    throw new SqlError(
      SQLSTATE.insufficientResources,
      'too few nodes have stored a part of this transaction in time',
      { hint: 'Nothing of it is committed. Try again when more nodes are up: see ledger.nodes.' },
    );
  }

  /** No transaction will name these any more: each as often as it was put. */
  drop(hashes: readonly Uint8Array[]): void {
    for (const hash of hashes) {
      const own = this.#own.get(hex(hash));
      if (own === undefined) continue;
      own.sessions -= 1;
      if (own.sessions === 0) this.#own.delete(hex(hash));
      this.#options.keeper.release(hash);
    }
  }

  stop(): void {
    clearInterval(this.#renewer);
    this.#stopping.abort();
    for (const { waiting } of this.#own.values()) for (const wake of waiting) wake();
  }

  /** Waits until enough members have a chunk. @returns false when they did not in time */
  async #enough(own: Own): Promise<boolean> {
    if (this.#isEnough(own)) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#options.timeoutMs ?? CHUNK_SPREAD_MS_MAX);
    own.waiting.add(resolve);
    await promise;
    clearTimeout(timer);
    own.waiting.delete(resolve);
    return this.#isEnough(own);
  }

  #isEnough({ at }: Own): boolean {
    const { members, count } = this.#options.needed();
    return members.filter((key) => at.has(key)).length >= count;
  }

  #offer(key: string, hash: Uint8Array): void {
    let line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, (line = { hashes: [], running: false }));
    line.hashes.push(hash);
    if (!line.running) void this.#run(key, line);
  }

  async #run(key: string, line: Line): Promise<void> {
    const { signal } = this.#stopping;
    line.running = true;
    while (line.hashes.length > 0 && !signal.aborted) {
      const some = line.hashes
        .splice(0, CHUNKS_OFFERED_AT_ONCE)
        .filter((hash) => this.#isOwn(hash));
      if (some.length === 0 || (await this.#askToHold(key, some))) continue;
      line.hashes.unshift(...some);
      await pause(CHUNK_RETRY_MS, signal);
    }
    line.running = false;
  }

  #isOwn(hash: Uint8Array): boolean {
    return this.#own.has(hex(hash));
  }

  /** Asks all members to hold all chunks: also those that have lost some, or are members since a short while. */
  async #renew(): Promise<void> {
    if (this.#renewing || this.#own.size === 0) return;
    this.#renewing = true;
    const { members } = this.#options.needed();
    await Promise.all(members.map((key) => this.#renewAt(key)));
    this.#renewing = false;
  }

  async #renewAt(key: string): Promise<void> {
    const hashes = Array.from(this.#own.values(), ({ hash }) => hash);
    for (let at = 0; at < hashes.length && !this.#stopping.signal.aborted; at += HOLD_CHUNKS_MAX) {
      const some = hashes.slice(at, at + HOLD_CHUNKS_MAX);
      if (!(await this.#askToHold(key, some))) return;
    }
  }

  async #askToHold(key: string, hashes: readonly Uint8Array[]): Promise<boolean> {
    const exchange = { peers: this.#options.peers, signal: this.#stopping.signal };
    const answer = await askPeer(exchange, key, { kind: 'hold', hashes }, CHUNK_HOLD_MS_MAX);
    if (typeof answer === 'string' || answer.kind !== 'held') return false;
    for (const hash of hashes) {
      const own = this.#own.get(hex(hash));
      if (own === undefined) continue;
      own.at.add(key);
      if (this.#isEnough(own)) for (const wake of own.waiting) wake();
    }
    return true;
  }
}
