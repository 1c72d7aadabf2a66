// The analyst's worker thread: one mirror, calls answered one after the other. Shell.

import { parentPort, workerData } from 'node:worker_threads';
import { assert, isSqlError } from '../../ledger/error.ts';
import { ID } from '../../ledger/catalog.ts';
import type { Catalog } from '../../ledger/catalog.ts';
import type { DdlRecord } from '../analysis.ts';
import type { Calls, Request, Response, WorkerSettings } from './calls.ts';
import { Images } from './image.ts';
import type { Image } from './image.ts';
import { Mirror } from './mirror.ts';
import type { OidTable } from './mirror.ts';

assert(parentPort !== null, 'worker.ts runs in a worker thread');
const port = parentPort;
const { database, images } = workerData as WorkerSettings;

let mirror: Mirror;

/** The first call: the mirror comes from an image if one fits, and an image of it is kept. */
async function load(
  catalog: Catalog,
  records: readonly DdlRecord[],
  stateShards: number,
): Promise<OidTable> {
  const admin = catalog.roles.get(ID.adminRole)?.name;
  if (images === null || admin === undefined) {
    mirror = await Mirror.start(database);
    return mirror.load(catalog, records, stateShards);
  }
  const onFault = (what: string, file: string) =>
    port.postMessage({ imageFault: what, file } satisfies Response);
  const kept = new Images({ ...images, onFault }, `${database}\0${admin}`);
  const image = kept.find(records);
  const reopened = image === null ? null : await tryReopen(admin, image);
  mirror = reopened ?? (await Mirror.start(database));
  const held = reopened === null ? 0 : (image?.count ?? 0);
  const oids = mirror.load(catalog, records.slice(held), stateShards);
  if (reopened === null || held !== records.length) {
    kept.keep(records, await mirror.dump());
  }
  return oids;
}

/** An image that cannot be opened is as good as none: it is a cache. */
async function tryReopen(admin: string, { bytes }: Image): Promise<Mirror | null> {
  try {
    return await Mirror.reopen(database, admin, bytes);
  } catch {
    return null;
  }
}

const METHODS: {
  readonly [N in keyof Calls]: (
    ...args: Calls[N]['arguments']
  ) => Calls[N]['result'] | Promise<Calls[N]['result']>;
} = {
  load,
  analyse: (...args) => mirror.analyse(...args),
  defaults: (...args) => mirror.defaults(...args),
  analyseDdl: (...args) => mirror.analyseDdl(...args),
  applyDdl: (...args) => mirror.applyDdl(...args),
  relationId: (...args) => mirror.relationId(...args),
  typeOids: (...args) => mirror.typeOids(...args),
  evaluate: (...args) => mirror.evaluate(...args),
  catalogQuery: (...args) => mirror.catalogQuery(...args),
};

async function answer(request: Request): Promise<Response> {
  const { id } = request;
  try {
    const method = METHODS[request.name] as (...args: readonly unknown[]) => unknown;
    return { id, result: await method(...request.arguments) };
  } catch (error) {
    if (isSqlError(error)) {
      const { sqlstate, message, fields } = error;
      return { id, sqlError: { sqlstate, message, fields } };
    }
    return { id, failure: Error.isError(error) ? (error.stack ?? error.message) : String(error) };
  }
}

port.on('message', (request: Request) => {
  // The main thread asks one thing at a time.
  void answer(request).then((response) => port.postMessage(response));
});
port.postMessage({ id: 0 } satisfies Response);
