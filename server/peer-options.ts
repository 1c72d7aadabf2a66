// What the options say of a node's peers. Pure.
//
// A node alone has none, and takes these options all the same: they are for the moment when rules make it one of several.

import { hex, tryFromHex } from '../ledger/bytes.ts';
import { PUBLIC_KEY_BYTES } from '../ledger/crypto.ts';
import type { Member } from '../ledger/epoch.ts';
import { LIMITS } from '../ledger/limits.ts';
import { ConfigError, flagOf } from './config.ts';
import type { Config } from './config.ts';
import { tryParseAddress, tryParseProxy } from './peers/address.ts';
import type { Proxy } from './peers/address.ts';

export interface PeerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Through which peers are dialled, or null. */
  readonly proxy: Proxy | null;
  /** `host:port`s by node key in hexadecimal, as the options name them; they count before the chain's. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
}

/** @throws ConfigError for an option that is malformed */
export function peerOptionsOf(config: Config): PeerOptions {
  const { peerHost: host, peerPort: port, peerProxy } = config;
  if (host === '') throw new ConfigError(`${flagOf('peerHost')}: an address is expected`);
  return { host, port, proxy: proxyOf(peerProxy), addresses: addressesOf(config.peers) };
}

/** Where a member may be, best first. */
export function addressesOfMember(options: PeerOptions, member: Member): readonly string[] {
  const { publicKey, address } = member;
  const known = address === '' ? [] : [address];
  return [...new Set([...(options.addresses.get(hex(publicKey)) ?? []), ...known])];
}

/** Whether a text is `host:port` or `[address]:port`. */
export function isPeerAddress(text: string): boolean {
  return tryParseAddress(text) !== null && text.length <= LIMITS.addressBytesMax;
}

function proxyOf(text: string): Proxy | null {
  if (text === '') return null;
  const proxy = tryParseProxy(text);
  if (proxy !== null) return proxy;
  throw new ConfigError(`${flagOf('peerProxy')}: a URL of the form http://host:port is expected`);
}

function addressesOf(text: string): Map<string, string[]> {
  const addresses = new Map<string, string[]>();
  if (text === '') return addresses;
  for (const entry of text.split(',').map((each) => each.trim())) {
    const [, key, address] = /^([^@]*)@(.*)$/.exec(entry) ?? [];
    const publicKey = tryFromHex(key ?? '');
    if (
      publicKey?.length !== PUBLIC_KEY_BYTES ||
      address === undefined ||
      !isPeerAddress(address)
    ) {
      const form = '<64 hexadecimal digits of the node key>@<host>:<port>';
      throw new ConfigError(`${flagOf('peers')}: "${entry}" is not ${form}`);
    }
    const name = hex(publicKey);
    addresses.set(name, [...(addresses.get(name) ?? []), address]);
  }
  return addresses;
}
