// Lets others have their turn on the main thread while a statement works on many rows. Shell.
//
// An `await` of what is there already gives nobody a turn: only a new turn of the event loop does.

import type { SessionContext } from './context.ts';

/** Time that a statement may hold the main thread, in milliseconds. */
const TURN_MS = 5;
/** Steps between two looks at the clock. */
const STRIDE = 64;

/**
 * Called after each row: undefined to go on, or what to wait for.
 *
 * @throws SqlError (the promise) when the statement must stop
 */
export function turns(session: SessionContext): () => Promise<void> | undefined {
  let steps = 0;
  let until = 0;
  return () => {
    steps += 1;
    if (steps % STRIDE !== 0) return undefined;
    const now = performance.now();
    if (until === 0) until = now + TURN_MS;
    if (now < until) return undefined;
    return new Promise<void>(setImmediate).then(() => {
      until = performance.now() + TURN_MS;
      session.stop.check();
    });
  };
}
