// Whether the other nodes have got the same results of a block as this one: asked, told, waited for. Pure.
//
// Nothing is sent unless somebody waits: a node asks all others about one block, and each tells what it has got
// when it has executed it. Who is not answered asks again, so what is forgotten here costs a moment only.
//
// What is told is told by whom the transport has authenticated. It decides how long a client waits, and nothing else.

import type { Executed } from '../ledger/block.ts';
import { equal } from '../ledger/bytes.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import { CONSENSUS_LIMITS } from './limits.ts';

const HEIGHT_BYTES = 8;

/** Height (8 bytes) of a block; with the receipts root (32 bytes) it tells, without it asks. */
export function encodeResult(height: number, receiptsRoot: Uint8Array | null): Uint8Array {
  const bytes = new Uint8Array(HEIGHT_BYTES + (receiptsRoot?.length ?? 0));
  new DataView(bytes.buffer).setBigUint64(0, BigInt(height));
  if (receiptsRoot !== null) bytes.set(receiptsRoot, HEIGHT_BYTES);
  return bytes;
}

/** @returns null for anything else */
export function tryDecodeResult(
  bytes: Uint8Array,
): { readonly height: number; readonly receiptsRoot: Uint8Array | null } | null {
  const tells = bytes.length === HEIGHT_BYTES + HASH_BYTES;
  if (!tells && bytes.length !== HEIGHT_BYTES) return null;
  const height = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
  if (!Number.isSafeInteger(height)) return null;
  return { height, receiptsRoot: tells ? bytes.slice(HEIGHT_BYTES) : null };
}

export interface Comparison {
  readonly height: number;
  /** Place among the members of each other member, by its key in hexadecimal. */
  readonly others: ReadonlyMap<string, number>;
  /** How many of them must have got the same. */
  readonly needed: number;
  /** When it is given up, by the clock of `expire`. */
  readonly untilMs: number;
}

interface Wait extends Comparison {
  readonly same: Set<string>;
  readonly different: Set<string>;
  resolve(): void;
  reject(error: SqlError): void;
}

export class Agreement {
  /** Receipts roots of the newest blocks executed, by height, in order. */
  readonly #results = new Map<number, Uint8Array>();
  /** Heights that each peer has asked about in vain, in order. */
  readonly #asked = new Map<string, Set<number>>();
  readonly #waits = new Set<Wait>();

  /** @param results  of this node, known at the start */
  constructor(results: readonly Executed[]) {
    for (const { height, receiptsRoot } of results) this.#results.set(height, receiptsRoot);
  }

  /** This node has executed a block. @returns the peers that wait to be told */
  executed(height: number, receiptsRoot: Uint8Array): string[] {
    this.#results.set(height, receiptsRoot);
    if (this.#results.size > CONSENSUS_LIMITS.resultsMax) deleteFirst(this.#results);
    const waiting = [...this.#asked].filter(([, heights]) => heights.delete(height));
    return waiting.map(([peer]) => peer);
  }

  /** A peer asks. @returns what to tell it, or null: not yet */
  asked(peer: string, height: number): Uint8Array | null {
    const result = this.#results.get(height);
    if (result !== undefined) return result;
    let heights = this.#asked.get(peer);
    if (heights === undefined) this.#asked.set(peer, (heights = new Set()));
    heights.add(height);
    if (heights.size > CONSENSUS_LIMITS.resultsAskedMax) deleteFirst(heights);
    return null;
  }

  /** A peer tells. @returns its place among the members when it has got something else, and has not said so before */
  told(peer: string, height: number, receiptsRoot: Uint8Array): number | null {
    const own = this.#results.get(height);
    if (own === undefined) return null;
    let differing: number | null = null;
    for (const wait of this.#waits) {
      const member = wait.others.get(peer);
      if (wait.height !== height || member === undefined) continue;
      if (equal(own, receiptsRoot)) wait.same.add(peer);
      else if (!wait.different.has(peer)) {
        wait.different.add(peer);
        differing = member;
      }
      this.#decide(wait);
    }
    return differing;
  }

  /**
   * Resolves when so many others have got the same results of a block that this node has executed.
   *
   * @throws SqlError 40003 when the time is up, or when too many have got others
   */
  wait(comparison: Comparison): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waits.add({ ...comparison, same: new Set(), different: new Set(), resolve, reject });
    });
  }

  /** Heights that others are to be asked about. */
  get open(): readonly number[] {
    return [...new Set([...this.#waits].map(({ height }) => height))];
  }

  /** Gives up what has waited until now; everything when `nowMs` is Infinity. */
  expire(nowMs: number): void {
    for (const wait of this.#waits) if (wait.untilMs <= nowMs) this.#giveUp(wait);
  }

  #decide(wait: Wait): void {
    if (wait.same.size >= wait.needed) {
      this.#waits.delete(wait);
      wait.resolve();
    } else if (wait.others.size - wait.different.size < wait.needed) this.#giveUp(wait);
  }

  #giveUp(wait: Wait): void {
    this.#waits.delete(wait);
    wait.reject(notAgreed(wait));
  }
}

function notAgreed({ height, others, needed, same, different }: Wait): SqlError {
  const named = (wanted: (peer: string) => boolean): string =>
    [...others]
      .filter(([peer]) => wanted(peer))
      .map(([, member]) => member)
      .join(', ');
  const silent = named((peer) => !same.has(peer) && !different.has(peer));
  const other = named((peer) => different.has(peer));
  const detail = [
    ...(silent === '' ? [] : [`No word of members ${silent} of ledger.nodes.`]),
    ...(other === '' ? [] : [`Other results at members ${other} of ledger.nodes.`]),
  ];
  return new SqlError(
    SQLSTATE.statementCompletionUnknown,
    `block ${height} with this transaction is confirmed, but ${same.size} of the ${needed} other nodes ` +
      'that were asked for have said that they got the same results',
    {
      detail: detail.join(' '),
      hint: 'The transaction stays confirmed: do not run it again. SHOW ledger.last_transaction tells its id.',
    },
  );
}

function deleteFirst<K>(collection: { keys(): Iterable<K>; delete(key: K): boolean }): void {
  for (const key of collection.keys()) {
    collection.delete(key);
    return;
  }
}
