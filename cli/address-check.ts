// Whether somebody listens where a node is said to be. Shell.

import { connect } from 'node:net';
import { tryParseAddress } from '../server/peers/address.ts';
import { say } from './governance.ts';

const ANSWER_MS = 3_000;

/** Says so where nobody does. That is no refusal: the nodes may reach what this machine does not. */
export async function sayIfSilent(address: string): Promise<void> {
  const target = tryParseAddress(address);
  if (target === null) return;
  const fault = await new Promise<string | null>((resolve) => {
    const socket = connect({ ...target, timeout: ANSWER_MS });
    const end = (found: string | null) => (): void => {
      socket.destroy();
      resolve(found);
    };
    socket.on('connect', end(null)).on('timeout', end('it takes too long'));
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message)());
  });
  if (fault === null) return;
  say(
    `note: nobody answers at ${address} from here (${fault}); the other nodes must reach it there`,
  );
}
