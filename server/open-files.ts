// Whether the system lets the node open as many files as it may need. Shell.
//
// Whoever may connect could otherwise take the last one, and a node that cannot open a file of the ledger has to stop.

import { readFileSync } from 'node:fs';
import { ConfigError } from './config.ts';
import { CONNECTIONS_ABOVE_LIMIT_MAX, FILES_BESIDE_CONNECTIONS } from './limits.ts';

/** Soft limit of this process, which Node has raised to the hard one; Infinity where the system does not tell. */
function filesAllowed(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

/** @throws ConfigError when so many connections might leave too few files for the ledger */
export function requireOpenFiles(maxConnections: number): void {
  const allowed = filesAllowed();
  const needed = maxConnections + CONNECTIONS_ABOVE_LIMIT_MAX + FILES_BESIDE_CONNECTIONS;
  if (allowed >= needed) return;
  throw new ConfigError(
    `${maxConnections} connections may need ${needed} open files, and the system allows ${allowed}: ` +
      'raise that limit (ulimit -n), or lower --max-connections',
  );
}
