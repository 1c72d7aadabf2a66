// The chunks of large transactions that no executed block names, on a node of a cluster: gets, keeps, serves and drops them.
// Shell.
//
// (1) A chunk that a block names, which this member has voted for or which is confirmed, does not go, nor does one of its own
//     sessions. Any other goes when the time is over for which it was asked to be held, after a restart too.
// (2) What others make this node hold is charged to them, and bounded for each. What a confirmed block names is not.
// (3) Nothing that a peer sends is taken on trust: a chunk is its hash. A peer that is silent is asked last for a while.

import { hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { CHUNK_PART_BYTES } from '../../ledger/encoding-repair.ts';
import type { ChunkAnswer, ChunkQuestion } from '../../ledger/encoding-repair.ts';
import { isStorageError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Chunks } from '../../consensus/chunks.ts';
import type { UnnamedChunk } from '../../storage/unnamed-chunks.ts';
import type { Writer } from '../../storage/writer.ts';
import type { Clock } from '../clock.ts';
import {
  CHUNK_COST_BYTES,
  CHUNK_FETCHES_MAX,
  CHUNK_LEASE_MS,
  CHUNK_RETRY_MS,
  CHUNK_SWEEP_MS,
  CHUNKS_ASSEMBLED_BYTES_MAX,
  CHUNKS_OF_NODE_BYTES_MAX,
} from '../limits.ts';
import type { Log } from '../log.ts';
import { downloadChunk } from './exchange.ts';
import type { Peers } from '../peers/requests.ts';
import { pause } from './pause.ts';

export interface ChunkKeeperOptions {
  readonly crypto: Crypto;
  readonly storage: Pick<Writer, 'putChunk' | 'dropChunks' | 'chunk' | 'isNamed'>;
  /** What a process before has left. */
  readonly adopted: readonly UnnamedChunk[];
  readonly peers: Peers;
  readonly clock: Clock;
  readonly log: Log;
  /** Chunks that must not go, whoever has asked for them; null while nobody can say. */
  readonly inUse: () => Iterable<Uint8Array> | null;
  /** All that was wanted at once is here. */
  readonly onArrived: () => void;
  /** For tests. */
  readonly sweepMs?: number;
  readonly bytesOfNodeMax?: number;
}

/** Who is charged: a peer by its key, the sessions of this node, or nobody. */
type Payer = string | null;
const SESSIONS = 'sessions';

interface Held {
  readonly hash: Uint8Array;
  /** What it is charged with. */
  readonly bytes: number;
  payer: Payer;
  /** By the clock that never jumps. */
  untilMs: number;
  /** How many sessions of this node have stored it and not released it. */
  sessions: number;
}

const NOTHING: ChunkAnswer = { kind: 'nothing' };

export class ChunkKeeper implements Chunks {
  readonly #options: ChunkKeeperOptions;
  readonly #bytesOfNodeMax: number;
  /** By hash in hexadecimal: each is stored, listed as named by none, and held once of the writer. */
  readonly #held = new Map<string, Held>();
  readonly #charged = new Map<Payer, number>();
  /** Being fetched, by who is charged and hash: what a liar has begun keeps nobody else waiting. */
  readonly #underway = new Map<string, Promise<boolean>>();
  /** The newest wish of each node that has named chunks; those that are worked on. */
  readonly #wishes = new Map<string, readonly Uint8Array[]>();
  readonly #working = new Set<string>();
  /** Until when a peer is asked last, by its key. */
  readonly #doubted = new Map<string, number>();
  /** Bytes of chunks that are being put together from parts. */
  #assembled = 0;
  /** The last chunk of several parts that was read. */
  #read: { readonly name: string; readonly bytes: Uint8Array } | null = null;
  readonly #stopping = new AbortController();
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: ChunkKeeperOptions) {
    this.#options = options;
    this.#bytesOfNodeMax = options.bytesOfNodeMax ?? CHUNKS_OF_NODE_BYTES_MAX;
    for (const { hash, bytes } of options.adopted) this.#keep(hash, bytes, null);
    this.#sweeper = setInterval(() => this.#sweep(), options.sweepMs ?? CHUNK_SWEEP_MS);
  }

  // For sessions of this node.

  /** Stores a chunk of a session, which must be released. @throws SqlError 54000 when all together have too much */
  async put(bytes: Uint8Array): Promise<Uint8Array> {
    if (!this.#charge(SESSIONS, bytes.length)) {
      const message = `transactions of this node that are not executed yet hold ${this.#bytesOfNodeMax} bytes`;
      throw new SqlError(SQLSTATE.programLimitExceeded, message, {
        hint: 'Commit after fewer rows.',
      });
    }
    const held = await this.#store(bytes, SESSIONS);
    held.sessions += 1;
    return held.hash;
  }

  /** As often as it was put. */
  release(hash: Uint8Array): void {
    const held = this.#held.get(hex(hash));
    if (held === undefined || held.sessions === 0) return;
    held.sessions -= 1;
  }

  // For consensus.

  has(hashes: readonly Uint8Array[]): boolean {
    return hashes.every((hash) => this.#held.has(hex(hash)) || this.#options.storage.isNamed(hash));
  }

  want(hashes: readonly Uint8Array[], from: Uint8Array): void {
    const source = hex(from);
    this.#wishes.set(source, hashes);
    if (this.#working.has(source)) return;
    this.#working.add(source);
    this.#work(source).catch((error: unknown) => {
      this.#options.log.warn('chunks not stored', { error: (error as Error).message });
    });
  }

  async fetch(hashes: readonly Uint8Array[]): Promise<boolean> {
    for (let tries = 0; !this.#stopping.signal.aborted; tries++) {
      if (await this.#getAll(hashes, null, (hash) => this.#sources(hash))) return true;
      const { log } = this.#options;
      if (tries === 0) log.warn('chunks of a confirmed block missing', { chunks: hashes.length });
      await pause(CHUNK_RETRY_MS, this.#stopping.signal);
    }
    return false;
  }

  executed(hashes: readonly Uint8Array[]): void {
    for (const hash of hashes) this.#forget(hex(hash));
  }

  stop(): void {
    clearInterval(this.#sweeper);
    this.#stopping.abort();
  }

  // For peers.

  async answer(from: string, question: ChunkQuestion, signal: AbortSignal): Promise<ChunkAnswer> {
    if (question.kind === 'chunk') return this.#part(question.hash, question.from);
    const { hashes } = question;
    const any = AbortSignal.any([signal, this.#stopping.signal]);
    if (!(await this.#getAll(hashes, from, () => [from], any))) return NOTHING;
    const untilMs = this.#options.clock.elapsed() + CHUNK_LEASE_MS;
    for (const hash of hashes) {
      const held = this.#held.get(hex(hash));
      if (held === undefined) continue;
      if (!this.#takeOver(held, from)) return NOTHING;
      held.untilMs = Math.max(held.untilMs, untilMs);
    }
    // Some may have gone while the last ones came.
    return this.has(hashes) ? { kind: 'held' } : NOTHING;
  }

  /** Who asks last pays: nobody keeps what another is charged for. */
  #takeOver(held: Held, payer: string): boolean {
    if (held.payer === payer) return true;
    if (!this.#charge(payer, held.bytes)) return false;
    this.#charge(held.payer, -held.bytes);
    held.payer = payer;
    return true;
  }

  #part(hash: Uint8Array, from: number): ChunkAnswer {
    const bytes = this.#bytesOf(hash);
    if (bytes === null || from >= bytes.length) return NOTHING;
    const part = bytes.subarray(from, from + CHUNK_PART_BYTES);
    return { kind: 'chunk', size: bytes.length, part };
  }

  #bytesOf(hash: Uint8Array): Uint8Array | null {
    const name = hex(hash);
    if (this.#read?.name === name) return this.#read.bytes;
    try {
      const bytes = this.#options.storage.chunk(hash);
      if (bytes.length > CHUNK_PART_BYTES) this.#read = { name, bytes };
      return bytes;
    } catch (error) {
      if (!isStorageError(error) || error.fault !== 'damaged') throw error;
      return null;
    }
  }

  // Getting them.

  /** Works on the newest wish of a node until it has none. */
  async #work(source: string): Promise<void> {
    const { signal } = this.#stopping;
    try {
      for (;;) {
        const hashes = this.#wishes.get(source);
        this.#wishes.delete(source);
        if (hashes === undefined || signal.aborted) return;
        const got = await this.#getAll(hashes, source, (hash) => this.#sources(hash, source));
        if (got) this.#options.onArrived();
        else await pause(CHUNK_RETRY_MS, signal);
      }
    } finally {
      this.#working.delete(source);
    }
  }

  /** Whom to ask for a chunk: who has named it, then the others, evenly; who was silent comes last. */
  #sources(hash: Uint8Array, first: string | null = null): readonly string[] {
    const connected = this.#options.peers.connected();
    const turn = hash[0]! % Math.max(1, connected.length);
    const turned = [...connected.slice(turn), ...connected.slice(0, turn)];
    const now = this.#options.clock.elapsed();
    const rank = (key: string): number => {
      if ((this.#doubted.get(key) ?? 0) > now) return 2;
      return key === first ? 0 : 1;
    };
    return turned.toSorted((a, b) => rank(a) - rank(b));
  }

  /** Gets what is missing, some at a time. @returns false as soon as one cannot be had */
  async #getAll(
    hashes: readonly Uint8Array[],
    payer: Payer,
    sources: (hash: Uint8Array) => readonly string[],
    signal: AbortSignal = this.#stopping.signal,
  ): Promise<boolean> {
    const missing = hashes.filter((hash) => !this.has([hash]));
    for (let at = 0; at < missing.length; at += CHUNK_FETCHES_MAX) {
      if (signal.aborted) return false;
      const some = missing.slice(at, at + CHUNK_FETCHES_MAX);
      const got = await Promise.all(some.map((hash) => this.#get(hash, payer, sources(hash))));
      if (got.includes(false)) return false;
    }
    return true;
  }

  #get(hash: Uint8Array, payer: Payer, sources: readonly string[]): Promise<boolean> {
    const name = `${payer ?? ''}/${hex(hash)}`;
    let getting = this.#underway.get(name);
    if (getting === undefined) {
      getting = this.#getFrom(hash, payer, sources).finally(() => this.#underway.delete(name));
      this.#underway.set(name, getting);
    }
    return getting;
  }

  async #getFrom(hash: Uint8Array, payer: Payer, sources: readonly string[]): Promise<boolean> {
    for (const key of sources) {
      const bytes = await this.#download(key, hash, payer);
      if (bytes === null) continue;
      await this.#store(bytes, payer);
      return true;
    }
    return false;
  }

  /** A chunk as one peer has it, charged; null when it has none, or there is no room. */
  async #download(key: string, hash: Uint8Array, payer: Payer): Promise<Uint8Array | null> {
    const { crypto, peers } = this.#options;
    const exchange = { peers, signal: this.#stopping.signal };
    let size = 0;
    let whole: Uint8Array | null = null;
    try {
      const got = await downloadChunk(exchange, crypto, key, hash, (bytes) => {
        if (!this.#hasRoom(bytes, payer)) return false;
        size = bytes;
        this.#assembled += size;
        return true;
      });
      if (got === 'silent') this.#doubt(key);
      else if (got !== 'away') whole = got;
      return whole;
    } finally {
      this.#assembled -= size;
      if (whole === null && size > 0) this.#charge(payer, -size);
    }
  }

  #doubt(key: string): void {
    this.#doubted.set(key, this.#options.clock.elapsed() + CHUNK_LEASE_MS);
  }

  #hasRoom(size: number, payer: Payer): boolean {
    // What is confirmed must be had, whatever it takes.
    if (payer !== null && this.#assembled + size > CHUNKS_ASSEMBLED_BYTES_MAX) return false;
    return this.#charge(payer, size);
  }

  // Keeping them.

  /** Charges a node that pays, if it may have so much. @param bytes  negative to give back */
  #charge(payer: Payer, bytes: number): boolean {
    if (payer === null) return true;
    const charge = bytes + Math.sign(bytes) * CHUNK_COST_BYTES;
    const charged = (this.#charged.get(payer) ?? 0) + charge;
    if (bytes > 0 && charged > this.#bytesOfNodeMax) return false;
    if (charged > 0) this.#charged.set(payer, charged);
    else this.#charged.delete(payer);
    return true;
  }

  /** Makes a chunk durable that was charged. */
  async #store(bytes: Uint8Array, payer: Payer): Promise<Held> {
    const { storage } = this.#options;
    let hash: Uint8Array;
    try {
      hash = await storage.putChunk(bytes);
    } catch (error) {
      this.#charge(payer, -bytes.length);
      throw error;
    }
    const known = this.#held.get(hex(hash));
    if (known === undefined) return this.#keep(hash, bytes.length, payer);
    this.#charge(payer, -bytes.length);
    this.#drop([hash]);
    return known;
  }

  #keep(hash: Uint8Array, bytes: number, payer: Payer): Held {
    const leaseMs = payer === SESSIONS ? 0 : CHUNK_LEASE_MS;
    const untilMs = this.#options.clock.elapsed() + leaseMs;
    const held = { hash, bytes, payer, untilMs, sessions: 0 };
    this.#held.set(hex(hash), held);
    return held;
  }

  #forget(name: string): void {
    const held = this.#held.get(name);
    if (held === undefined) return;
    this.#held.delete(name);
    this.#charge(held.payer, -held.bytes);
  }

  /** Drops what nobody has asked for in time and nothing needs. */
  #sweep(): void {
    this.#read = null;
    const now = this.#options.clock.elapsed();
    const over = [...this.#held].filter(([, held]) => held.sessions === 0 && held.untilMs < now);
    const inUse = over.length === 0 ? null : this.#options.inUse();
    if (inUse === null) return;
    const used = new Set<string>();
    for (const hash of inUse) used.add(hex(hash));
    const going = over.filter(([name]) => !used.has(name));
    // From here on this node does not have them, whatever the disk says.
    for (const [name] of going) this.#forget(name);
    this.#drop(going.map(([, { hash }]) => hash));
  }

  #drop(hashes: readonly Uint8Array[]): void {
    const { storage, log } = this.#options;
    // What is left is found at the next start.
    storage.dropChunks(hashes).catch((error: unknown) => {
      log.warn('chunks not dropped', { error: (error as Error).message });
    });
  }
}
