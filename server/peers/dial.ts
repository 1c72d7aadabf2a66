// From an address to a TLS session with whoever answers there, through a proxy if there is one. Shell.
//
// The certificate proves nothing and is not looked at: who it is shows in the handshake (server/peers/handshake.ts).

import { once } from 'node:events';
import { request } from 'node:http';
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { formatAddress } from './address.ts';
import type { HostPort, Proxy } from './address.ts';
import { EXPORTER_BYTES, EXPORTER_LABEL } from './handshake.ts';

/** Errors that come after somebody has stopped waiting are of no interest, and would end the process. */
const ignore = (): void => undefined;

/** Rejects with the error of the system, of the proxy, of TLS, or of the signal. */
export async function dial(
  target: HostPort,
  proxy: Proxy | null,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const socket =
    proxy === null
      ? await ready(connect({ ...target, noDelay: true, keepAlive: true }), 'connect', signal)
      : await connectThrough(proxy, target, signal);
  const session = connectTls({
    socket,
    servername: isIP(target.host) === 0 ? target.host : '',
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  });
  return ready(session, 'secureConnect', signal);
}

async function ready<T extends Socket>(socket: T, event: string, signal: AbortSignal): Promise<T> {
  socket.on('error', ignore);
  try {
    await once(socket, event, { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** HTTP CONNECT, RFC 9110 §9.3.6. */
async function connectThrough(
  proxy: Proxy,
  target: HostPort,
  signal: AbortSignal,
): Promise<Socket> {
  const authority = formatAddress(target);
  const asking = request({
    host: proxy.host,
    port: proxy.port,
    method: 'CONNECT',
    path: authority,
    headers: {
      host: authority,
      ...(proxy.authorization === null ? {} : { 'proxy-authorization': proxy.authorization }),
    },
    agent: false,
    signal,
  });
  asking.on('error', ignore);
  asking.end();
  const [response, socket, head] = (await once(asking, 'connect', { signal })) as [
    { readonly statusCode: number },
    Socket,
    Buffer,
  ];
  socket.on('error', ignore);
  // The client speaks first in TLS: bytes that come before are not the node's.
  if (response.statusCode !== 200 || head.length > 0) {
    socket.destroy();
    throw new Error(`the proxy answers ${response.statusCode} to CONNECT ${authority}`);
  }
  socket.setNoDelay(true);
  return socket;
}

/** The secret that the two ends of this session share, and nobody else (RFC 8446 §7.5); null when it has ended. */
export function tryExporterOf(session: TLSSocket): Uint8Array | null {
  if (session.destroyed) return null;
  // Without a context, which TLS 1.3 takes for an empty one.
  return new Uint8Array(
    session.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0)),
  );
}
