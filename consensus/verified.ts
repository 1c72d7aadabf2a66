// Signatures that were found valid are not checked a second time. Pure.
//
// A bundle's signature is checked when it arrives; the block that orders it a moment later names it again.

import { hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { CONSENSUS_LIMITS } from './limits.ts';
import { RecentSet } from './recent-set.ts';

/** The same crypto with a memory of what it signed and of what verified; bounded. */
export function remembering(crypto: Crypto): Crypto {
  const verified = new RecentSet(CONSENSUS_LIMITS.verifiedMax);
  return {
    ...crypto,
    sign(seed, message) {
      const signature = crypto.sign(seed, message);
      verified.add(nameOf(crypto.publicKeyOf(seed), message, signature));
      return signature;
    },
    verify(publicKey, message, signature) {
      const name = nameOf(publicKey, message, signature);
      if (verified.has(name)) return true;
      if (!crypto.verify(publicKey, message, signature)) return false;
      verified.add(name);
      return true;
    },
  };
}

function nameOf(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): string {
  return `${hex(signature)}${hex(publicKey)}${hex(message)}`;
}
