// Gets chunks from other nodes. Shell.
//
// Nothing that a peer sends is taken on trust: a chunk is its hash.

import { concat, equal } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { chunkHash } from '../../ledger/hash.ts';
import { CHUNK_PART_MS_MAX } from '../limits.ts';
import { askPeer } from '../peers/ask.ts';
import type { Exchange, NoAnswer } from '../peers/ask.ts';

/**
 * A chunk as one peer has it, part by part; `silent` also for a peer that sends another one, `away` for one that has none
 * or that is not let.
 *
 * @param admit  is told the size before more than one part comes; false: there is no room
 */
export async function downloadChunk(
  exchange: Exchange,
  crypto: Crypto,
  key: string,
  hash: Uint8Array,
  admit: (size: number) => boolean,
): Promise<Uint8Array | NoAnswer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  let length = 0;
  do {
    const question = { kind: 'chunk', hash, from: length } as const;
    const answer = await askPeer(exchange, key, question, CHUNK_PART_MS_MAX);
    if (typeof answer === 'string') return answer;
    if (answer.kind !== 'chunk') return 'away';
    if (parts.length === 0) {
      ({ size } = answer);
      if (!admit(size)) return 'away';
    }
    length += answer.part.length;
    if (answer.size !== size || length > size) return 'silent';
    parts.push(answer.part);
  } while (length < size);
  const whole = concat(...parts);
  return equal(chunkHash(crypto, whole), hash) ? whole : 'silent';
}
