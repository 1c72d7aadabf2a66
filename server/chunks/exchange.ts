// Questions about chunks to other nodes, and their answers. Shell.

import { decodeAnswer, encodeQuestion } from '../../ledger/encoding-repair.ts';
import type { ChunkQuestion, PeerAnswer } from '../../ledger/encoding-repair.ts';
import { isFormatError } from '../../ledger/error.ts';
import { isPeerError } from '../peers/requests.ts';

/** Who can be asked, by key in hexadecimal; server/peers/network.ts fits it. */
export interface ChunkPeers {
  /** Those with a connection. */
  connected(): readonly string[];
  /** @throws PeerError */
  request(
    key: string,
    bytes: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
}

export interface Exchange {
  readonly peers: ChunkPeers;
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
