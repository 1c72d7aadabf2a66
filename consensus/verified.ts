// Signatures that were found valid are not checked a second time. Pure.
//
// A bundle's signature is checked when it arrives; the block that orders it a moment later names it again.

import { hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { CONSENSUS_LIMITS } from './limits.ts';

/** The same crypto with a memory of what verified; bounded. */
export function remembering(crypto: Crypto): Crypto {
  let recent = new Set<string>();
  let before = new Set<string>();
  return {
    ...crypto,
    verify(publicKey, message, signature) {
      const name = `${hex(signature)}${hex(publicKey)}${hex(message)}`;
      if (recent.has(name) || before.has(name)) return true;
      if (!crypto.verify(publicKey, message, signature)) return false;
      recent.add(name);
      if (recent.size >= CONSENSUS_LIMITS.verifiedMax) {
        before = recent;
        recent = new Set();
      }
      return true;
    },
  };
}
