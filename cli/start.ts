// `trustsql start`: runs a node until SIGTERM or SIGINT, then drains. Shell.

import { join } from 'node:path';
import type { Config } from '../server/config.ts';
import { startNode } from '../server/node.ts';

/** Resolves when the node has stopped. */
export async function runStart(config: Config): Promise<void> {
  const node = await startNode(config);
  const file = join(config.data, 'admin.url');
  // The password is shown once, and only to a person: a log file would keep it.
  const shown = node.firstStart && process.stdout.isTTY ? node.adminUrl : undefined;
  process.stdout.write(`TrustSQL is ready on ${node.host}:${node.port}. To connect, paste:\n`);
  process.stdout.write(`psql "${shown ?? `$(cat ${quoted(file)})`}"\n`);
  await new Promise<void>((resolve) => {
    let asked = false;
    const stop = (signal: NodeJS.Signals): void => {
      // Whoever asks twice does not want to wait.
      if (asked) process.exit(signal === 'SIGINT' ? 130 : 143);
      asked = true;
      process.stderr.write('Stopping …\n');
      resolve();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
  await node.stop();
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
