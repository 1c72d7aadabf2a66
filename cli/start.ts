// `trustsql start`: runs a node until SIGTERM or SIGINT, then drains. Shell.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../server/config.ts';
import { startNode } from '../server/node.ts';
import type { RunningNode } from '../server/node.ts';
import { CommandError, EXIT } from './exit.ts';

/** Resolves when the node has stopped. */
export async function runStart(config: Config): Promise<void> {
  const node = await startNode(config);
  process.stdout.write(
    `TrustSQL is ready on ${node.host}:${node.port}. ${howToConnect(config, node)}\n`,
  );
  const asked = new Promise<void>((resolve) => {
    let before = false;
    const stop = (signal: NodeJS.Signals): void => {
      // Whoever asks twice does not want to wait.
      if (before) process.exit(signal === 'SIGINT' ? 130 : 143);
      before = true;
      process.stderr.write('Stopping … (a second time ends at once)\n');
      resolve();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
  const failure = await Promise.race([asked.then(() => null), node.failed.then(reasonOf)]);
  await node.stop();
  if (failure !== null) throw new CommandError(EXIT.unavailable, `the node has failed: ${failure}`);
}

function howToConnect({ data }: Config, { firstStart, adminUrl, database }: RunningNode): string {
  const file = join(data, 'admin.url');
  // The password is shown once, and only to a person: a log file would keep it.
  const shown = firstStart && process.stdout.isTTY ? adminUrl : undefined;
  if (shown !== undefined) return `To connect, paste:\npsql "${shown}"`;
  if (existsSync(file)) return `To connect, paste:\npsql "$(cat ${quoted(file)})"`;
  return `Its database is called ${database}; there is no ${file}, so log in with a password that you know.`;
}

function reasonOf(error: unknown): string {
  return Error.isError(error) ? error.message : String(error);
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
