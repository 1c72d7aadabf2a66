// Where a node listens, as text: `host:port`, `[address]:port`; and a proxy's URL. Pure.

import { PEER_ADDRESS_BYTES_MAX } from '../limits.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface Proxy extends HostPort {
  /** Value of Proxy-Authorization, or null. */
  readonly authorization: string | null;
}

/** Null for what is no address. A name is not looked up. */
export function tryParseAddress(text: string): HostPort | null {
  if (text.length > PEER_ADDRESS_BYTES_MAX) return null;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9_.-]+)):([1-9][0-9]{0,4})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  return port > 65_535 ? null : { host: match[1] ?? match[2]!, port };
}

/** The text of an address; IPv6 in brackets. */
export function formatAddress({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `http://[user:password@]host[:port]`; null for anything else. Clear text up to the proxy: TLS goes through it. */
export function tryParseProxy(text: string): Proxy | null {
  if (!URL.canParse(text)) return null;
  const { protocol, hostname, port, username, password, pathname, search } = new URL(text);
  if (protocol !== 'http:' || hostname === '' || pathname !== '/' || search !== '') return null;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 80 : Number(port),
    authorization:
      credentials === ':' ? null : `Basic ${Buffer.from(credentials).toString('base64')}`,
  };
}
