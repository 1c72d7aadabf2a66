// When to dial, and where next: one dialer for each node, or address, that this node wants to reach. Shell.
//
// The first attempt comes after a moment by chance, so that two nodes rarely dial each other at once; the wait doubles with
// each attempt in vain, up to a bound, and varies, so that nodes that went down together do not come back together.

import { PEER_REDIAL_MS_MAX, PEER_REDIAL_MS_MIN } from '../limits.ts';

/**
 * How long to wait, in milliseconds.
 *
 * @param attempts  how many were in vain
 * @param random    from 0 to 1
 */
export function redialMs(attempts: number, random: number): number {
  if (attempts === 0) return PEER_REDIAL_MS_MIN * random;
  const ms = Math.min(PEER_REDIAL_MS_MAX, PEER_REDIAL_MS_MIN * 2 ** attempts);
  return ms * (0.5 + random / 2);
}

export interface DialerOptions {
  /** Where the node may be, best first; none: nothing is dialled. */
  readonly addresses: () => readonly string[];
  /** Tries one of them; resolves when it is known what came of it. */
  readonly connect: (address: string) => Promise<void>;
  /** From 0 to 1. */
  readonly random: () => number;
}

export class Dialer {
  readonly #options: DialerOptions;
  #attempts = 0;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  #stopped = false;

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  /** Something has changed: dials soon if there is somewhere to dial and nothing is going on. */
  wake(): void {
    if (this.#stopped || this.#busy || this.#timer !== undefined) return;
    if (this.#options.addresses().length === 0) return;
    const ms = redialMs(this.#attempts, this.#options.random());
    this.#timer = setTimeout(() => void this.#dial(), ms);
  }

  /** A connection has lasted, or there is a new address: begins with short waits again. */
  encourage(): void {
    this.#attempts = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #dial(): Promise<void> {
    this.#timer = undefined;
    const addresses = this.#options.addresses();
    if (addresses.length === 0) return;
    const address = addresses[this.#attempts % addresses.length]!;
    this.#attempts++;
    this.#busy = true;
    await this.#options.connect(address);
    this.#busy = false;
    this.wake();
  }
}
