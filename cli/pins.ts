// Options that say what is known of a ledger from elsewhere. Shell.

import { readFileSync } from 'node:fs';
import { HASH_BYTES, PUBLIC_KEY_BYTES } from '../ledger/crypto.ts';
import type { Pins } from '../storage/pins.ts';
import { hexOf } from './exit.ts';

export interface PinFlags {
  /** File with a digest that was kept elsewhere. */
  readonly digest?: string;
  /** 64 hexadecimal digits, as the next. */
  readonly chainId?: string;
  readonly nodeKey?: readonly string[];
}

/** @throws CommandError 2 for what is not 64 hexadecimal digits */
export function pinsOf({ digest, chainId, nodeKey }: PinFlags): Pins {
  return {
    ...(digest === undefined ? {} : { digest: readFileSync(digest, 'utf8') }),
    ...(chainId === undefined ? {} : { chainId: hexOf('--chain-id', chainId, HASH_BYTES) }),
    ...(nodeKey === undefined
      ? {}
      : { nodeKeys: nodeKey.map((key) => hexOf('--node-key', key, PUBLIC_KEY_BYTES)) }),
  };
}
