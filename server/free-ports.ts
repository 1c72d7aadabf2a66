// Whether ports can be listened on, before something is made that would be bound to them. Shell.

import { once } from 'node:events';
import { createServer } from 'node:net';

/** Nothing keeps the ports free from then on. @throws the system's error (EADDRINUSE, EACCES, EADDRNOTAVAIL) */
export async function requireFreePorts(host: string, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const server = createServer().listen({ host, port });
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  }
}
