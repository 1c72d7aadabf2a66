// TLS as the listener needs it, from PEM texts. Shell.

import { createHash, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';

export interface Encryption {
  readonly context: SecureContext;
  /** Channel binding data; undefined if the certificate's signature names no hash: PLUS is not offered then. */
  readonly endPoint: Uint8Array | undefined;
}

/**
 * Builds the TLS context of a listener.
 *
 * @param key         private key, PEM
 * @param certificate certificate, then its chain, PEM
 * @throws            the error of node:crypto if they cannot be read or do not belong together
 */
export function makeEncryption(key: string, certificate: string): Encryption {
  return {
    context: createSecureContext({ key, cert: certificate, minVersion: 'TLSv1.2' }),
    endPoint: serverEndPoint(new X509Certificate(certificate)),
  };
}

/** RFC 5929 section 4.1: the certificate under the hash of its signature, MD5 and SHA-1 replaced by SHA-256. */
function serverEndPoint(certificate: X509Certificate): Uint8Array | undefined {
  const name = /sha-?(224|256|384|512)|sha-?1|md5/i.exec(certificate.signatureAlgorithm ?? '');
  if (name === null) return undefined;
  return createHash(`sha${name[1] ?? '256'}`)
    .update(certificate.raw)
    .digest();
}
