// `trustsql shard move`, `shard vacuum`: the files of the state, while no node runs. Shell.

import { resolve } from 'node:path';
import { readDataDirectory } from '../storage/data-directory.ts';
import { moveShard, planShardMove, planVacuum } from '../storage/shard-place.ts';
import { vacuumShard, whileStopped } from '../storage/shard-place.ts';
import { CommandError, EXIT } from './exit.ts';
import { jsonText } from './json.ts';

export interface FileFlags {
  readonly data: string;
  /** Say what would be done, and do nothing. */
  readonly plan?: boolean;
  readonly json?: boolean;
}

export interface PlaceFlags extends FileFlags {
  readonly to: string;
}

/** Of a file that is read, written and synced: a slow disk. */
const COPIED_BYTES_PER_SECOND = 100_000_000;

/** @throws CommandError 2 for a shard that is none; StorageError */
export function runShardMove(shard: string, { data: directory, to, plan, json }: PlaceFlags): void {
  const number = shardNumber(directory, shard);
  const move = whileStopped(directory, (data) => {
    const planned = planShardMove(data, number, resolve(to));
    if (plan !== true) moveShard(data, planned);
    return planned;
  });
  const estimatedSeconds = seconds(move.bytes);
  if (json === true) {
    process.stdout.write(jsonText({ done: plan !== true, ...move, estimatedSeconds }));
    return;
  }
  const verb = plan === true ? 'would go' : 'is moved';
  process.stdout.write(
    move.from === move.to
      ? `Shard ${number} lies in ${move.to} already.\n`
      : `Shard ${number} ${verb} from ${move.from} to ${move.to}: ${move.bytes} bytes` +
          `${plan === true ? `, about ${estimatedSeconds} s; ${move.freeBytes} bytes are free there` : ''}.\n`,
  );
}

/** @throws CommandError 2 for a shard that is none; StorageError */
export function runShardVacuum(
  shard: string | undefined,
  { data: directory, plan, json }: FileFlags,
): void {
  const only = shard === undefined ? null : shardNumber(directory, shard);
  const files = whileStopped(directory, (data) => {
    const all = Array.from({ length: data.stateShards }, (_, i) => i);
    const planned = all.filter((i) => only === null || i === only).map((i) => planVacuum(data, i));
    return planned.map((each) => {
      const worthIt = plan !== true && each.freeBytes > 0;
      return { ...each, freedBytes: worthIt ? vacuumShard(each) : 0 };
    });
  });
  const bytes = files.reduce((sum, file) => sum + file.bytes - file.freeBytes, 0);
  if (json === true) {
    const estimatedSeconds = seconds(bytes);
    process.stdout.write(jsonText({ done: plan !== true, files, estimatedSeconds }));
    return;
  }
  for (const { file, freeBytes, freedBytes } of files) {
    const what = plan === true ? `${freeBytes} bytes would be` : `${freedBytes} bytes were`;
    process.stdout.write(`${file}: ${what} given back\n`);
  }
  if (plan === true) process.stdout.write(`It takes about ${seconds(bytes)} s.\n`);
}

function seconds(bytes: number): number {
  return Math.ceil(bytes / COPIED_BYTES_PER_SECOND);
}

/** @throws CommandError 2 for a shard that is none */
export function shardNumber(directory: string, text: string): number {
  const last = readDataDirectory(directory).stateShards - 1;
  if (/^\d{1,4}$/.test(text) && Number(text) <= last) return Number(text);
  throw new CommandError(EXIT.usage, `there is no shard ${text}: they are 0 to ${last}`);
}
