// The self-signed certificate: read by Node's own parser, used in a real handshake.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { loadTls, makeCertificate, tlsFiles } from '../../../server/tls.ts';

const NONE = { certificate: '', key: '' };
const HOSTS = ['localhost', '127.0.0.1', '::1', 'fe80::1:2'];
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trustsql-tls-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('is for its hosts, valid for ten years, signed by itself', () => {
  const now = Date.UTC(2045, 1, 28);
  const certificate = new X509Certificate(makeCertificate(HOSTS, now).certificate);
  expect(certificate.subject).toBe('CN=localhost');
  expect(certificate.checkHost('localhost')).toBe('localhost');
  expect(certificate.checkHost('example.org')).toBeUndefined();
  for (const address of HOSTS.slice(1)) expect(certificate.checkIP(address)).toBe(address);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.ca).toBe(true);
  expect(new Date(certificate.validFrom).getTime()).toBe(now - 86_400_000);
  expect(new Date(certificate.validTo).getUTCFullYear()).toBe(2055);
});

test('is made once, for the owner only, and is trusted by a client that pins it', async () => {
  const files = Object.values(tlsFiles(directory));
  const modes = (): number[] => files.map((file) => statSync(file).mode & 0o777);
  const made = loadTls(directory, NONE, HOSTS, Date.now());
  expect(modes()).toEqual([0o600, 0o600]);
  for (const file of files) chmodSync(file, 0o644);
  const again = loadTls(directory, NONE, HOSTS, Date.now());
  expect(again).toEqual(made);
  expect(modes()).toEqual([0o600, 0o600]);
  const server = createServer({ cert: made.certificate, key: made.key }, (socket) => socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', ca: made.certificate });
  await once(client, 'secureConnect');
  expect(client.authorized).toBe(true);
  const seen = client.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase();
  expect(Buffer.from(made.fingerprint).toString('hex')).toBe(seen);
  client.destroy();
  server.close();
  await once(server, 'close');
});

test('half a pair, a wrong key and a missing file are refused', () => {
  const one = makeCertificate(HOSTS, Date.now());
  const other = makeCertificate(HOSTS, Date.now());
  const files = { certificate: join(directory, 'c.pem'), key: join(directory, 'k.pem') };
  writeFileSync(files.certificate, one.certificate);
  writeFileSync(files.key, other.key);
  expect(() => loadTls(directory, files, HOSTS, 0)).toThrow("the key is not this certificate's");
  expect(() => loadTls(directory, { ...files, key: '' }, HOSTS, 0)).toThrow('go together');
  expect(() => loadTls(directory, { ...files, key: '/none' }, HOSTS, 0)).toThrow('ENOENT');
});
