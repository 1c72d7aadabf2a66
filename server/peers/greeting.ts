// The handshake over a wire, within its time. Shell.

import type { Handshake, PeerIdentity } from './handshake.ts';
import { CLOSE, isPeerRefusal } from './refusal.ts';
import type { Wire, WireHandlers } from './wire.ts';

export interface Greeting {
  readonly handshake: Handshake;
  readonly timeoutMs: number;
  /** The key is proved and admitted: what takes the wire over. */
  established(wire: Wire, peer: PeerIdentity): WireHandlers;
  /** Nothing came of it. @param by who has closed */
  failed(by: 'us' | 'peer', code: number, reason: string): void;
}

const ignore = (): void => undefined;

/**
 * Greets whoever is at the other end.
 *
 * @param connect  makes the wire
 * @param opened   whether it is open at once
 */
export function greet(
  { handshake, timeoutMs, established, failed }: Greeting,
  connect: (handlers: WireHandlers) => Wire,
  opened: boolean,
): void {
  let over = false;
  const end = (by: 'us' | 'peer', code: number, reason: string): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    if (by === 'us') wire.close(code, reason);
    failed(by, code, reason);
  };
  const timer = setTimeout(() => end('us', CLOSE.timeout, 'no handshake in time'), timeoutMs);
  const wire = connect({
    opened: () => wire.send(handshake.hello),
    frame(bytes) {
      if (over) return;
      try {
        const { reply, peer } = handshake.receive(bytes);
        if (reply !== null) wire.send(reply);
        if (peer === null) return;
        over = true;
        clearTimeout(timer);
        wire.handlers = established(wire, peer);
      } catch (error) {
        if (!isPeerRefusal(error)) throw error;
        end('us', error.code, error.message);
      }
    },
    sent: ignore,
    pong: ignore,
    closed: (code, reason) => end('peer', code, reason),
  });
  if (opened) wire.handlers.opened?.();
}
