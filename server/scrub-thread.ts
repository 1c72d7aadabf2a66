// The worker thread that re-reads the files of a running node, and looks up what peers ask to repair theirs. Shell.
//
// Requests are answered one after the other; a look that fails is told, and the next one may succeed.

import { parentPort, workerData } from 'node:worker_threads';
import { decodeQuestion, encodeAnswer } from '../ledger/encoding-repair.ts';
import type { PeerAnswer, PeerQuestion } from '../ledger/encoding-repair.ts';
import { assert } from '../ledger/error.ts';
import type { Finding } from '../storage/finding.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { Scrub } from '../storage/scrub.ts';

export interface ScrubThreadData {
  readonly directory: string;
}

export type ScrubRequest =
  /**
   * Looks through the newest blocks and their rows, or through the next slice of older ones. `certified`: names of
   * certificates that are known to be right (storage/certified.ts).
   */
  | { readonly id: number; readonly kind: 'newest' | 'slice'; readonly certified: Uint8Array }
  /** Answers a question of a peer. */
  | { readonly id: number; readonly kind: 'answer'; readonly question: Uint8Array };

export type ScrubReply =
  /** `slices`: how many make a round; `cpuMs`: what the look has cost. */
  | {
      readonly id: number;
      readonly kind: 'looked';
      readonly findings: readonly Finding[];
      readonly slices: number;
      readonly cpuMs: number;
    }
  | { readonly id: number; readonly kind: 'answered'; readonly answer: Uint8Array }
  | { readonly id: number; readonly kind: 'failed'; readonly message: string };

const port = parentPort;
assert(port !== null, 'server/scrub-thread.ts runs as a worker');

function replyTo(scrub: Scrub, request: ScrubRequest): ScrubReply {
  const { id } = request;
  try {
    if (request.kind === 'answer') {
      const answer = encodeAnswer(answerTo(scrub, decodeQuestion(request.question)));
      return { id, kind: 'answered', answer };
    }
    const before = process.threadCpuUsage();
    scrub.learn(request.certified);
    const findings = request.kind === 'newest' ? scrub.newest() : scrub.slice();
    const { user, system } = process.threadCpuUsage(before);
    const cpuMs = (user + system) / 1_000;
    return { id, kind: 'looked', findings, slices: scrub.slices, cpuMs };
  } catch (error) {
    const message = Error.isError(error) ? (error.stack ?? error.message) : String(error);
    return { id, kind: 'failed', message };
  }
}

/** Of chunks the main thread knows more. */
function answerTo(scrub: Scrub, question: PeerQuestion): PeerAnswer {
  const isOfChunks = question.kind === 'chunk' || question.kind === 'hold';
  return isOfChunks ? { kind: 'nothing' } : scrub.answer(question);
}

const { directory } = workerData as ScrubThreadData;
const scrub = new Scrub({ directory, crypto: nativeCrypto });
port.on('message', (request: ScrubRequest) => port.postMessage(replyTo(scrub, request)));
