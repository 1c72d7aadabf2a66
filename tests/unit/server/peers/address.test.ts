// Addresses, proxies, waits and the counting of lines.

import { expect, test } from '@jest/globals';
import { formatAddress, tryParseAddress, tryParseProxy } from '../../../../server/peers/address.ts';
import { redialMs } from '../../../../server/peers/dialer.ts';
import { Rate } from '../../../../server/peers/rate.ts';

test('an address is a host and a port', () => {
  expect(tryParseAddress('node-1.example.org:5433')).toEqual({
    host: 'node-1.example.org',
    port: 5433,
  });
  expect(tryParseAddress('[::1]:1')).toEqual({ host: '::1', port: 1 });
  for (const text of [
    '',
    ':1',
    'a:',
    'a',
    'a:b',
    'a:1 ',
    'a/b:1',
    'u@a:1',
    '[a:1',
    `${'a'.repeat(261)}:1`,
  ]) {
    expect(tryParseAddress(text)).toBeNull();
  }
  for (const text of ['127.0.0.1:80', '[fe80::1]:443']) {
    expect(formatAddress(tryParseAddress(text)!)).toBe(text);
  }
});

test('a proxy is a URL, with credentials where it wants them', () => {
  expect(tryParseProxy('http://proxy.example:3128')).toEqual({
    host: 'proxy.example',
    port: 3128,
    authorization: null,
  });
  const { host, port, authorization } = tryParseProxy('http://us%40er:p%3Aw@[::1]')!;
  expect([host, port]).toEqual(['::1', 80]);
  expect(Buffer.from(authorization!.slice(6), 'base64').toString()).toBe('us@er:p:w');
  for (const text of ['proxy:3128', 'https://a', 'socks5://a:1', 'http://a/path', 'http://', '']) {
    expect(tryParseProxy(text)).toBeNull();
  }
});

test('waits double up to a bound, and vary by half', () => {
  const longest = Array.from({ length: 12 }, (_, n) => redialMs(n, 1));
  expect(longest).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000, 5000]);
  expect([redialMs(0, 0), redialMs(3, 0), redialMs(2_000, 0)]).toEqual([0, 400, 2500]);
});

test('of too many lines the next one says how many there were', () => {
  const rate = new Rate(2, 1_000);
  expect([0, 1, 2, 999, 1_000, 1_001].map((ms) => rate.take(ms))).toEqual([0, 0, null, null, 2, 0]);
});
