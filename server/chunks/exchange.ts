// Questions about chunks to other nodes, and their answers. Shell.

import { decodeAnswer, encodeQuestion } from '../../ledger/encoding-repair.ts';
import type { ChunkQuestion, PeerAnswer } from '../../ledger/encoding-repair.ts';
import { isFormatError } from '../../ledger/error.ts';
import { isPeerError } from '../peers/requests.ts';
import type { Peers } from '../peers/requests.ts';

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
  question: ChunkQuestion,
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
