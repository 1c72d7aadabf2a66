// One question to one peer, in the encoding of `ledger/encoding-repair.ts`, and what came of it. Shell.

import { decodeAnswer, encodeQuestion } from '../../ledger/encoding-repair.ts';
import type { PeerAnswer, PeerQuestion } from '../../ledger/encoding-repair.ts';
import { isFormatError } from '../../ledger/error.ts';
import { isPeerError } from './requests.ts';
import type { Peers } from './requests.ts';

export interface Exchange {
  readonly peers: Peers;
  /** Gives every question up. */
  readonly signal: AbortSignal;
}

/** Why there is no answer: `silent` when the peer had time enough or makes no sense, `away` when it may not be its fault. */
export type NoAnswer = 'silent' | 'away';

export async function askPeer(
  { peers, signal }: Exchange,
  key: string,
  question: PeerQuestion,
  timeoutMs: number,
): Promise<PeerAnswer | NoAnswer> {
  try {
    return decodeAnswer(await peers.request(key, encodeQuestion(question), timeoutMs, signal));
  } catch (error) {
    if (isFormatError(error)) return 'silent';
    if (!isPeerError(error)) throw error;
    return error.fault === 'timeout' ? 'silent' : 'away';
  }
}
