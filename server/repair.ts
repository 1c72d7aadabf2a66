// Looks after the files of a running node: has them re-read, says what is damaged, and repairs it from peers. Shell.
//
// (1) Nothing that a peer sends is taken on trust: storage/mend.ts checks it against hashes and certificates.
// (2) While damage is known, a node of a cluster answers no statements. It goes on applying the blocks of the others and
//     votes; a vote names results, and for those of a damaged row the others have another name.
// (3) Blocks are repaired before receipts, and those before rows: each is checked by the one before. A chunk is its hash.
// (4) A ledger of one node has nobody to ask: it says what is damaged, once, and goes on.

import { REPAIR_LEAVES_MAX } from '../ledger/encoding-repair.ts';
import type { FoundVersion, PeerAnswer, RepairQuestion } from '../ledger/encoding-repair.ts';
import { hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { isFormatError, isStorageError, SqlError, StorageError } from '../ledger/error.ts';
import { decodeRowVersion } from '../ledger/encoding.ts';
import { rowVersionHash } from '../ledger/hash.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { Finding } from '../storage/finding.ts';
import { sentenceOf } from '../storage/finding.ts';
import type { Keep, StateRepair } from '../storage/mend.ts';
import type { Writer } from '../storage/writer.ts';
import type { Clock } from './clock.ts';
import { downloadChunk } from './chunks/exchange.ts';
import { DAMAGE_ALARMS_MAX, REPAIR_ROUNDS_MAX, REPAIR_TIMEOUT_MS } from './limits.ts';
import type { Log } from './log.ts';
import { askPeer } from './peers/ask.ts';
import type { Peers } from './peers/requests.ts';
import type { Scrubber } from './scrubber.ts';

export interface RepairOptions {
  readonly scrubber: Pick<Scrubber, 'look'>;
  readonly writer: Pick<Writer, 'settle' | 'certified' | 'mendState' | 'mendBlock' | 'mendChunk'>;
  readonly crypto: Crypto;
  /** Null while there is nobody to ask. */
  readonly peers: () => Peers | null;
  readonly keep: Keep;
  readonly log: Log;
  readonly clock: Clock;
  /** Between two looks at the newest blocks. */
  readonly scrubMs: number;
  /** In which all older blocks are looked through once. */
  readonly periodMs: number;
  readonly onAlarm: (kind: string, message: string) => void;
  /** Damage that cannot be repaired in parts: the node must stop. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * The thread works one part in so many of the time, on a busy node with big tables: the looks are then further apart than asked
 * for. A node alone can repair nothing: it looks less often.
 */
const DUTY = 10;
const DUTY_ALONE = 50;

type Of<Kind extends Finding['kind']> = Extract<Finding, { readonly kind: Kind }>;

export class Repair {
  readonly #options: RepairOptions;
  #timer: NodeJS.Timeout | null = null;
  #working: Promise<void> = Promise.resolve();
  readonly #stopping = new AbortController();
  #damaged = false;
  /** Sentences of what was said and is not repaired yet. */
  readonly #said = new Set<string>();
  /** What this turn has cost the thread. */
  #cpuMs = 0;
  #nextSliceMs = 0;

  constructor(options: RepairOptions) {
    this.#options = options;
    this.#nextSliceMs = options.clock.elapsed() + options.scrubMs;
    this.#after(options.scrubMs);
  }

  /** Whether the node answers statements. @throws SqlError 57P03 while it repairs its files */
  admit(): void {
    if (!this.#damaged || this.#options.peers() === null) return;
    throw new SqlError(SQLSTATE.cannotConnectNow, 'the node repairs damage to its files', {
      hint: 'Ask another node, or this one again in a moment.',
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#working;
  }

  #after(ms: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#working = this.#turn();
    }, ms).unref();
  }

  async #turn(): Promise<void> {
    const { clock, log, scrubMs, peers } = this.#options;
    const began = clock.elapsed();
    try {
      await this.#look();
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        log.warn('scrub failed', { error: (error as Error).message });
    }
    const tookMs = clock.elapsed() - began;
    const duty = peers() === null ? DUTY_ALONE : DUTY;
    this.#after(Math.max(scrubMs - tookMs, (duty - 1) * this.#cpuMs));
    this.#cpuMs = 0;
  }

  async #look(): Promise<void> {
    const { clock, periodMs, peers } = this.#options;
    const { findings, slices } = await this.#lookAt('newest');
    await this.#treat(findings);
    const repairing = this.#damaged && peers() !== null;
    if (periodMs === 0 || repairing || clock.elapsed() < this.#nextSliceMs) return;
    this.#nextSliceMs = clock.elapsed() + periodMs / slices;
    const slice = await this.#lookAt('slice');
    // A sound slice says nothing of damage elsewhere.
    if (slice.findings.length > 0) await this.#treat(slice.findings);
  }

  async #lookAt(what: 'newest' | 'slice') {
    const { scrubber, writer } = this.#options;
    writer.settle();
    const looked = await scrubber.look(what, writer.certified.take());
    this.#cpuMs += looked.cpuMs;
    return looked;
  }

  /** Repairs what was found, and looks again until nothing is; what is left then is tried again at the next turn. */
  async #treat(found: readonly Finding[]): Promise<void> {
    const { peers } = this.#options;
    let findings = found;
    for (let round = 0; findings.length > 0 && round < REPAIR_ROUNDS_MAX; round++) {
      this.#say(findings);
      if (peers() === null || this.#stopping.signal.aborted) return;
      const hopeless = findings.find(({ kind }) => kind === 'file');
      if (hopeless !== undefined) {
        this.#options.onFailure(new StorageError('damaged', sentenceOf(hopeless)));
        return;
      }
      if (!(await this.#repair(findings))) return;
      ({ findings } = await this.#lookAt('newest'));
    }
    if (findings.length > 0 || !this.#damaged) return;
    this.#damaged = false;
    this.#said.clear();
    this.#options.onAlarm('repaired', 'the files are sound again: the node serves');
  }

  #say(findings: readonly Finding[]): void {
    const { onAlarm, peers } = this.#options;
    this.#damaged = true;
    const fresh = findings.map(sentenceOf).filter((sentence) => !this.#said.has(sentence));
    // What is there no more need not be remembered.
    if (this.#said.size > DAMAGE_ALARMS_MAX * REPAIR_ROUNDS_MAX) this.#said.clear();
    for (const sentence of fresh) this.#said.add(sentence);
    const advice =
      peers() === null ? '; docs/operations.md says how to restore it, under Verify' : '';
    for (const sentence of fresh.slice(0, DAMAGE_ALARMS_MAX)) onAlarm('damage', sentence + advice);
    const more = fresh.length - DAMAGE_ALARMS_MAX;
    if (more > 0) onAlarm('damage', `${more} more places are damaged`);
  }

  /** @returns whether something was done, so that it is worth another look at once */
  async #repair(findings: readonly Finding[]): Promise<boolean> {
    const { log } = this.#options;
    try {
      const done = await this.#repairFirst(findings);
      for (const what of done) log.info('repaired', { what });
      return done.length > 0;
    } catch (error) {
      if (!isStorageError(error) || error.fault !== 'damaged') throw error;
      log.warn('repair failed', { error: error.message });
      return false;
    }
  }

  /** Repairs what the rest is checked by. */
  async #repairFirst(findings: readonly Finding[]): Promise<readonly string[]> {
    const { writer, keep } = this.#options;
    const blocks = findings.filter((finding): finding is Of<'block'> => finding.kind === 'block');
    if (blocks.length > 0) return this.#repairBlocks(blocks.map(({ height }) => height));
    const chunks = findings.filter((finding): finding is Of<'chunk'> => finding.kind === 'chunk');
    if (chunks.length > 0) return this.#repairChunks(chunks.map(({ hash }) => hash));
    const heights = (kind: 'receipts' | 'index'): number[] =>
      findings.flatMap((finding) => (finding.kind === kind ? [finding.height] : []));
    const receipts = heights('receipts');
    const index = heights('index');
    if (receipts.length > 0) return this.#repairReceipts(receipts);
    if (index.length > 0) {
      return writer.mendState({ index, receipts: [], rows: [], versions: [] }, keep);
    }
    return this.#repairRows(findings);
  }

  /** From the newest down: each is checked by the one after it. */
  async #repairBlocks(heights: readonly number[]): Promise<readonly string[]> {
    const { writer, keep } = this.#options;
    const done: string[] = [];
    for (const height of heights.toSorted((a, b) => b - a)) {
      const mended = await this.#fromAny({ kind: 'block', height }, (answer) => {
        if (answer.kind !== 'block') return null;
        const { header, body, certificate } = answer;
        return writer.mendBlock({ height, header, body, certificate }, keep);
      });
      done.push(...(mended ?? []));
    }
    return done;
  }

  async #repairChunks(hashes: readonly Uint8Array[]): Promise<readonly string[]> {
    const { writer, keep } = this.#options;
    const done: string[] = [];
    for (const hash of hashes) {
      const bytes = await this.#fetchChunk(hash);
      if (bytes !== null) done.push(...(await writer.mendChunk(hash, bytes, keep)));
    }
    if (done.length > 0) return done;
    throw new StorageError('damaged', 'no peer that can be reached has the chunks');
  }

  async #fetchChunk(hash: Uint8Array): Promise<Uint8Array | null> {
    const { crypto } = this.#options;
    const peers = this.#options.peers();
    if (peers === null) return null;
    const exchange = { peers, signal: this.#stopping.signal };
    for (const key of peers.connected()) {
      const got = await downloadChunk(exchange, crypto, key, hash, () => true);
      if (typeof got !== 'string') return got;
    }
    return null;
  }

  async #repairReceipts(heights: readonly number[]): Promise<readonly string[]> {
    const { writer, keep } = this.#options;
    const done: string[] = [];
    for (const height of heights) {
      const mended = await this.#fromAny({ kind: 'receipts', height }, (answer) => {
        if (answer.kind !== 'receipts') return null;
        const receipts = [{ height, receipts: answer.receipts }];
        return writer.mendState({ index: [], receipts, rows: [], versions: [] }, keep);
      });
      done.push(...(mended ?? []));
    }
    return done;
  }

  async #repairRows(findings: readonly Finding[]): Promise<readonly string[]> {
    const { writer, keep } = this.#options;
    const rows = findings.filter((finding): finding is Of<'row'> => finding.kind === 'row');
    const missing = findings.filter(
      (finding): finding is Of<'missing'> => finding.kind === 'missing',
    );
    const sorted = missing.toSorted((a, b) => (a.stamp < b.stamp ? -1 : a.stamp > b.stamp ? 1 : 0));
    const wanted = new Map(
      sorted.slice(0, REPAIR_LEAVES_MAX).map((each) => [hex(each.leaf), each]),
    );
    const versions = await this.#fetchVersions(wanted);
    // Whatever of a transaction is not there yet keeps its other rows waiting: nothing goes without what takes its place.
    const incomplete = new Set(
      missing.filter(({ leaf }) => !versions.has(hex(leaf))).map(({ stamp }) => stamp),
    );
    const repair: StateRepair = {
      index: [],
      receipts: [],
      rows: rows.filter(({ stamp }) => stamp === null || !incomplete.has(stamp)),
      versions: [...versions].flatMap(([leaf, version]) =>
        incomplete.has(wanted.get(leaf)!.stamp) ? [] : [version],
      ),
    };
    if (repair.rows.length + repair.versions.length === 0) {
      throw new StorageError('damaged', 'no peer that can be reached has what is missing');
    }
    return writer.mendState(repair, keep);
  }

  /** Asks one peer after the other for what is still missing. @returns by leaf */
  async #fetchVersions(
    wanted: ReadonlyMap<string, Of<'missing'>>,
  ): Promise<Map<string, FoundVersion>> {
    const found = new Map<string, FoundVersion>();
    for (const key of this.#peersUp()) {
      const open = [...wanted.values()].filter(({ leaf }) => !found.has(hex(leaf)));
      if (open.length === 0) break;
      const answer = await this.#ask(key, {
        kind: 'versions',
        from: open[0]!.stamp,
        to: open.at(-1)!.stamp + 1n,
        leaves: open.map(({ leaf }) => leaf),
      });
      if (answer?.kind !== 'versions') continue;
      for (const version of answer.versions) {
        const leaf = hex(rowVersionHash(this.#options.crypto, version.version));
        if (wanted.has(leaf) && isVersion(version.version)) found.set(leaf, version);
      }
    }
    return found;
  }

  /** Asks one peer after the other until `use` takes an answer. @returns what it made of it, or null */
  async #fromAny<T>(
    question: RepairQuestion,
    use: (answer: PeerAnswer) => Promise<T> | null,
  ): Promise<T | null> {
    let refusal: unknown = null;
    for (const key of this.#peersUp()) {
      const answer = await this.#ask(key, question);
      if (answer === null) continue;
      try {
        const used = await use(answer);
        if (used !== null) return used;
      } catch (error) {
        if (!isStorageError(error) || error.fault !== 'damaged') throw error;
        refusal = error;
      }
    }
    if (refusal !== null) throw refusal as Error;
    return null;
  }

  #peersUp(): readonly string[] {
    return this.#options.peers()?.connected() ?? [];
  }

  /** @returns null when there is no answer that can be read */
  async #ask(key: string, question: RepairQuestion): Promise<PeerAnswer | null> {
    const peers = this.#options.peers();
    if (peers === null) return null;
    const { signal } = this.#stopping;
    const answer = await askPeer({ peers, signal }, key, question, REPAIR_TIMEOUT_MS);
    if (typeof answer !== 'string') return answer;
    this.#options.log.debug('a peer could not help', { peer: key, answer });
    return null;
  }
}

function isVersion(encoded: Uint8Array): boolean {
  try {
    decodeRowVersion(encoded);
    return true;
  } catch (error) {
    if (isFormatError(error)) return false;
    throw error;
  }
}
