// Folding the write-ahead logs of the state and the block index into their files. Shell.
//
// Any connection can do it while another writes. A log is written from its beginning again only when all of it was
// folded in and nobody reads it; what was written meanwhile is left for the next time.

import { indexFile } from './data-directory.ts';
import { guard, logBytes } from './sqlite.ts';
import { shardsOf } from './state-files.ts';
import type { DataDirectory } from './data-directory.ts';
import type { Database } from './sqlite.ts';

/** What SQLite says of a checkpoint: frames in the log, and how many of them are in the file. */
interface Checkpointed {
  readonly busy: bigint;
  readonly log: bigint;
  readonly checkpointed: bigint;
}

/** Log of a file, in bytes, beyond which it is to be folded in. */
const LOG_BYTES_MAX = 128 * 1024 * 1024;

/** Whether a log is to be folded in; the files must be open in this process. */
export function logsAreLong(data: DataDirectory): boolean {
  const files = [indexFile(data.path), ...shardsOf(data).map(([, file]) => file)];
  return files.some((file) => logBytes(file) > LOG_BYTES_MAX);
}

/**
 * Folds the logs of all files that a connection has attached.
 *
 * @returns whether nothing is left in the log of any shard: all that was committed is on disk
 * @throws StorageError
 */
export function foldState(database: Database, data: DataDirectory): boolean {
  const folded = (schema: string, file: string): boolean => {
    const checkpoint = (): unknown => database.pragma(`${schema}.wal_checkpoint(PASSIVE)`);
    const [result] = guard(file, checkpoint) as Checkpointed[];
    return result!.busy === 0n && result!.log === result!.checkpointed;
  };
  folded('chain', indexFile(data.path));
  const shards = shardsOf(data).map(([schema, file]) => folded(schema, file));
  return !shards.includes(false);
}
