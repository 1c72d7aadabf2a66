// The node's TLS certificate: makes a self-signed one, loads whichever is configured. Shell.
//
// An ECDSA P-256 certificate with SHA-256 (so SCRAM-SHA-256-PLUS binds to its SHA-256 hash, RFC 5929 §4.1),
// in the DER of RFC 5280 §4.1 written out here: it is one fixed shape, and a library for it brings a dozen packages.

import {
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { StorageError } from '../ledger/error.ts';
import { makeFolder, replaceFile } from '../storage/durable-file.ts';

export interface TlsMaterial {
  /** PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** SHA-256 of the DER certificate: what SCRAM-SHA-256-PLUS binds to and what people compare. */
  readonly fingerprint: Uint8Array;
}

const VALID_YEARS = 10;
const DAY_MS = 86_400_000;

const OID = {
  commonName: '55 04 03',
  ecdsaWithSha256: '2a 86 48 ce 3d 04 03 02',
  subjectAltName: '55 1d 11',
  basicConstraints: '55 1d 13',
} as const;

/** The files of the self-signed certificate. */
export function tlsFiles(directory: string): { certificate: string; key: string } {
  const folder = join(directory, 'keys');
  return { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
}

/**
 * Loads certificate and key; makes the self-signed pair in `<directory>/keys` when none is configured and it
 * is not there yet.
 *
 * @param configured  paths from the configuration; both empty for the self-signed pair
 * @param hosts  names and addresses that a new certificate is for
 * @param now  milliseconds since 1970
 * @throws StorageError io when a file cannot be read or written, damaged when they are no pair
 */
export function loadTls(
  directory: string,
  configured: { readonly certificate: string; readonly key: string },
  hosts: readonly string[],
  now: number,
): TlsMaterial {
  if ((configured.certificate === '') !== (configured.key === '')) {
    throw new StorageError('io', 'tlsCertificate and tlsKey go together: one of them is missing');
  }
  const own = configured.certificate === '';
  const files = own ? tlsFiles(directory) : configured;
  try {
    if (own && !existsSync(files.certificate)) {
      const made = makeCertificate(hosts, now);
      makeFolder(join(directory, 'keys'));
      // The certificate last: when it is there, so is its key.
      replaceFile(files.key, made.key);
      replaceFile(files.certificate, made.certificate);
    }
    // Whatever is in the folder of keys is the node's alone, also where it was copied with wider modes.
    if (own) for (const file of Object.values(files)) chmodSync(file, 0o600);
    const certificate = readFileSync(files.certificate, 'utf8');
    const key = readFileSync(files.key, 'utf8');
    return checkedPair(certificate, key, files.certificate);
  } catch (error) {
    const code = Error.isError(error) ? (error as { code?: unknown }).code : undefined;
    if (code === undefined) throw error;
    throw new StorageError('io', (error as Error).message, { cause: error });
  }
}

function checkedPair(certificate: string, key: string, file: string): TlsMaterial {
  let parsed: X509Certificate;
  let matching: boolean;
  try {
    parsed = new X509Certificate(certificate);
    matching = parsed.checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw new StorageError('damaged', `${file}: no certificate and key in PEM`, { cause: error });
  }
  if (!matching) throw new StorageError('damaged', `${file}: the key is not this certificate's`);
  const fingerprint = Buffer.from(parsed.fingerprint256.replaceAll(':', ''), 'hex');
  return { certificate, key, fingerprint: new Uint8Array(fingerprint) };
}

/** A fresh self-signed pair in PEM. */
export function makeCertificate(
  hosts: readonly string[],
  now: number,
): { certificate: string; key: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(der(0x06, bytes(OID.ecdsaWithSha256)));
  const name = sequence(
    der(0x31, sequence(der(0x06, bytes(OID.commonName)), der(0x0c, Buffer.from(hosts[0]!)))),
  );
  const end = new Date(now);
  end.setUTCFullYear(end.getUTCFullYear() + VALID_YEARS);
  const serial = randomBytes(16);
  // Positive and without leading zeros, RFC 5280 §4.1.2.2.
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name,
    // Clocks of clients differ: valid since yesterday.
    sequence(time(new Date(now - DAY_MS)), time(end)),
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
    der(0xa3, sequence(basicConstraints(), alternativeNames(hosts))),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, algorithm, der(0x03, Buffer.from([0]), signature));
  return {
    certificate: pem(certificate),
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
  };
}

/** CA:TRUE, so that clients may take the file as `sslrootcert`. */
function basicConstraints(): Buffer {
  const critical = der(0x01, Buffer.from([0xff]));
  const value = der(0x04, sequence(critical));
  return sequence(der(0x06, bytes(OID.basicConstraints)), critical, value);
}

function alternativeNames(hosts: readonly string[]): Buffer {
  const names = hosts.map((host) =>
    isIP(host) === 0 ? der(0x82, Buffer.from(host)) : der(0x87, addressBytes(host)),
  );
  const value = der(0x04, sequence(...names));
  return sequence(der(0x06, bytes(OID.subjectAltName)), value);
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const before = words(head);
  const after = words(tail ?? '');
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  const all = [...before, ...zeros, ...after].map((word) => word.padStart(4, '0'));
  return Buffer.from(all.join(''), 'hex');
}

/** UTCTime until 2049, GeneralizedTime afterwards, RFC 5280 §4.1.2.5. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\..*|\D/g, '');
  const text = `${digits.slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(text.slice(2)))
    : der(0x18, Buffer.from(text));
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

/** Tag, length, content; X.690 §8.1.3. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length = content.length < 0x100 ? [content.length] : [content.length >> 8, content.length];
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length, ...length]), content]);
}

function bytes(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g)!;
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
