// Signatures that were found valid are not checked a second time. Pure.
//
// A bundle's signature is checked when it arrives; the block that orders it a moment later names it again.

import { hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { CONSENSUS_LIMITS } from './limits.ts';
import { RecentSet } from './recent-set.ts';

/** The same crypto with a memory of what verified; bounded. */
export function remembering(crypto: Crypto): Crypto {
  const verified = new RecentSet(CONSENSUS_LIMITS.verifiedMax);
  return {
    ...crypto,
    verify(publicKey, message, signature) {
      const name = `${hex(signature)}${hex(publicKey)}${hex(message)}`;
      if (verified.has(name)) return true;
      if (!crypto.verify(publicKey, message, signature)) return false;
      verified.add(name);
      return true;
    },
  };
}
