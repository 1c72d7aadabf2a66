// What a test knows of a TLS session: written from docs/formats/peer.md, not from our code.

import type { TLSSocket } from 'node:tls';

export function exporterOf(session: TLSSocket): Uint8Array {
  return session.exportKeyingMaterial(32, 'EXPERIMENTAL trustsql peer v1', Buffer.alloc(0));
}
