// The analyst's worker thread: one mirror, calls answered one after the other. Shell.

import { parentPort, workerData } from 'node:worker_threads';
import { assert, isSqlError } from '../../ledger/error.ts';
import type { Calls, Request, Response } from './calls.ts';
import { Mirror } from './mirror.ts';

assert(parentPort !== null, 'worker.ts runs in a worker thread');
const port = parentPort;
const { database } = workerData as { readonly database: string };

const mirror = await Mirror.start(database);

const METHODS: {
  readonly [N in keyof Calls]: (...args: Calls[N]['arguments']) => Calls[N]['result'];
} = {
  load: (...args) => mirror.load(...args),
  analyse: (...args) => mirror.analyse(...args),
  defaults: (...args) => mirror.defaults(...args),
  analyseDdl: (...args) => mirror.analyseDdl(...args),
  applyDdl: (...args) => mirror.applyDdl(...args),
  relationId: (...args) => mirror.relationId(...args),
  typeOids: (...args) => mirror.typeOids(...args),
  evaluate: (...args) => mirror.evaluate(...args),
  catalogQuery: (...args) => mirror.catalogQuery(...args),
};

function answer(request: Request): Response {
  const { id } = request;
  try {
    const method = METHODS[request.name] as (...args: readonly unknown[]) => unknown;
    return { id, result: method(...request.arguments) };
  } catch (error) {
    if (isSqlError(error)) {
      const { sqlstate, message, fields } = error;
      return { id, sqlError: { sqlstate, message, fields } };
    }
    return { id, failure: Error.isError(error) ? (error.stack ?? error.message) : String(error) };
  }
}

port.on('message', (request: Request) => {
  port.postMessage(answer(request));
});
port.postMessage({ id: 0 } satisfies Response);
