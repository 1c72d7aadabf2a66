// From the first byte of a connection to a known user. Shell.
//
//     negotiating ──SSLRequest, GSSENCRequest, ClientHello──▶ negotiating
//       ├──CancelRequest──▶ over
//       └──StartupMessage──▶ authenticating ──SCRAM──▶ done
//
// (1) Nothing that came in the clear before TLS is read after it (CVE-2021-23214).
// (2) Strangers get a short answer and their connection is closed; nothing else notices.
// (3) The caller bounds the time.
//
// PostgreSQL manual 55.2.1, 55.2.10, 55.3.

import { createHash, createHmac, randomBytes } from 'node:crypto';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { ENCRYPTION_REQUESTS_MAX } from '../limits.ts';
import type { Backend, StartupParameters } from './backend.ts';
import { ALPN_PROTOCOL } from './channel.ts';
import type { Channel } from './channel.ts';
import { BodyReader } from './decode.ts';
import { encode } from './encode.ts';
import type { Encryption } from './encryption.ts';
import type { StartUpPacket } from './message.ts';
import { mockVerifier, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramExchange } from './scram.ts';
import type { ScramHashes } from './scram.ts';
import { decodeStartUp } from './startup.ts';

const TLS_HANDSHAKE = 0x16;
const NONCE_BYTES = 18;
const HTTP_ANSWER =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n' +
  'This port speaks the PostgreSQL protocol. Connect with a PostgreSQL client, such as psql.\n';

const HASHES: ScramHashes = {
  sha256: (data) => createHash('sha256').update(data).digest(),
  hmac: (key, data) => createHmac('sha256', key).update(data).digest(),
};

export interface HandshakeOptions {
  readonly backend: Backend;
  readonly encryption: Encryption | undefined;
  /** Secret of the node from which mock verifiers are derived; 16 bytes or more. */
  readonly secret: Uint8Array;
  /** What to tell a client that has sent its start-up packet, instead of letting it in. */
  refusal(): SqlError | undefined;
}

export class Handshake {
  readonly #channel: Channel;
  readonly #options: HandshakeOptions;
  #resume: (() => void) | undefined;

  constructor(channel: Channel, options: HandshakeOptions) {
    this.#channel = channel;
    this.#options = options;
    const wake = (): void => this.wake();
    channel.owner = { received: wake, drained: wake, lost: wake };
  }

  /** Looks again: bytes have come, or the channel is over. */
  wake(): void {
    this.#resume?.();
  }

  /**
   * Runs it.
   *
   * @returns what the client starts with, authenticated and AuthenticationOk written; undefined if the
   *          connection has served its purpose or is gone
   * @throws  SqlError to be sent as FATAL
   */
  async run(): Promise<StartupParameters | undefined> {
    const packet = await this.#negotiate();
    if (packet === undefined) return undefined;
    const channel = this.#channel;
    if (packet.minor > 0 || packet.extensions.length > 0) {
      channel.write(encode({ kind: 'negotiateProtocolVersion', extensions: packet.extensions }));
    }
    const refusal = this.#options.refusal();
    if (refusal !== undefined) throw refusal;
    if (!channel.encrypted && !isLoopback(channel.remoteAddress))
      throw unencrypted(channel, packet);
    if (!(await this.#authenticate(packet.user))) return undefined;
    return {
      user: packet.user,
      database: packet.database,
      settings: packet.settings,
      remoteAddress: channel.remoteAddress,
      remotePort: channel.remotePort,
      encrypted: channel.encrypted,
    };
  }

  /** Waits for a whole message; 0 if the client is gone. */
  async #next(): Promise<number> {
    for (;;) {
      if (this.#channel.over) return 0;
      const type = this.#channel.framer.next();
      if (type !== 0) return type;
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    if (this.#channel.over) return;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
    });
    this.#resume = undefined;
  }

  async #negotiate(): Promise<Extract<StartUpPacket, { kind: 'startUp' }> | undefined> {
    const channel = this.#channel;
    const { framer } = channel;
    if (!(await this.#greet())) return undefined;
    for (let requests = 0; ; requests++) {
      if ((await this.#next()) === 0) return undefined;
      const packet = decodeStartUp(framer.buffer, framer.start, framer.end);
      if (packet.kind === 'startUp') return packet;
      if (packet.kind === 'cancelRequest') {
        this.#options.backend.cancel(packet.processId, packet.secretKey);
        channel.end();
        return undefined;
      }
      if (requests >= ENCRYPTION_REQUESTS_MAX) {
        throw new SqlError(SQLSTATE.protocolViolation, 'unsupported frontend protocol');
      }
      const { encryption } = this.#options;
      if (packet.kind === 'sslRequest' && encryption !== undefined && !channel.encrypted) {
        await this.#accept(encryption);
      } else {
        channel.write(Buffer.from('N'));
        channel.flush();
      }
    }
  }

  /** Tells apart what may come first. False: it was not our protocol, and has been answered. */
  async #greet(): Promise<boolean> {
    const channel = this.#channel;
    while (channel.framer.unreadBytes < 4 && channel.framer.peek() !== TLS_HANDSHAKE) {
      if (channel.over) return false;
      await this.#more();
    }
    if (channel.framer.isHttp()) {
      channel.write(Buffer.from(HTTP_ANSWER));
      channel.end();
      return false;
    }
    const { encryption } = this.#options;
    if (channel.framer.peek() !== TLS_HANDSHAKE || encryption === undefined) return true;
    if ((await channel.secure(encryption.context)) !== ALPN_PROTOCOL) {
      throw new SqlError(
        SQLSTATE.protocolViolation,
        'received direct SSL connection request without ALPN protocol negotiation extension',
      );
    }
    return true;
  }

  async #accept(encryption: Encryption): Promise<void> {
    const channel = this.#channel;
    if (channel.framer.unreadBytes > 0) {
      throw new SqlError(
        SQLSTATE.protocolViolation,
        'received unencrypted data after SSL request',
        {
          detail:
            'This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.',
        },
      );
    }
    channel.write(Buffer.from('S'));
    await channel.secure(encryption.context);
  }

  /** False if the client is gone. */
  async #authenticate(user: string): Promise<boolean> {
    const channel = this.#channel;
    const { backend, encryption, secret } = this.#options;
    const endPoint = channel.encrypted ? encryption?.endPoint : undefined;
    const mechanisms =
      endPoint === undefined ? [SCRAM_SHA_256] : [SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
    const verifier = await backend.verifier(user);
    channel.framer.phase = 'authentication';
    channel.write(encode({ kind: 'authenticationSasl', mechanisms }));
    channel.flush();
    const initial = await this.#saslInitialResponse(mechanisms);
    if (initial === undefined) return false;
    const exchange = new ScramExchange({
      hashes: HASHES,
      verifier: verifier ?? mockVerifier(user, secret, HASHES),
      known: verifier !== undefined,
      mechanism: initial.mechanism,
      endPoint,
      nonce: randomBytes(NONCE_BYTES).toString('base64'),
      user,
    });
    const { data } = exchange.step(initial.data);
    channel.write(encode({ kind: 'authenticationSaslContinue', data }));
    channel.flush();
    if ((await this.#next()) === 0) return false;
    const { buffer, start, end } = channel.framer;
    const final = exchange.step(buffer.toString('utf8', start, end));
    channel.write(encode({ kind: 'authenticationSaslFinal', data: final.data }));
    channel.write(encode({ kind: 'authenticationOk' }));
    channel.framer.phase = 'query';
    return true;
  }

  async #saslInitialResponse(
    mechanisms: readonly string[],
  ): Promise<{ readonly mechanism: string; readonly data: string } | undefined> {
    if ((await this.#next()) === 0) return undefined;
    const { buffer, start, end } = this.#channel.framer;
    const body = new BodyReader(buffer, start, end);
    const mechanism = body.string();
    if (!mechanisms.includes(mechanism)) {
      throw new SqlError(
        SQLSTATE.protocolViolation,
        'client selected an invalid SASL authentication mechanism',
      );
    }
    const data = body.value();
    body.finish();
    if (data === null) {
      throw new SqlError(SQLSTATE.protocolViolation, 'SASL initial response is missing');
    }
    return { mechanism, data: Buffer.from(data).toString('utf8') };
  }
}

/** An address of this machine itself. '' is a socket file or a connection that is already gone. */
export function isLoopback(address: string): boolean {
  return address === '' || address === '::1' || /^(::ffff:)?127\./.test(address);
}

function unencrypted(
  channel: Channel,
  { user, database }: { readonly user: string; readonly database: string },
): SqlError {
  return new SqlError(
    SQLSTATE.invalidAuthorizationSpecification,
    `no pg_hba.conf entry for host "${channel.remoteAddress}", user "${user}", database "${database}", no encryption`,
    { hint: 'Connections from other machines must be encrypted: use sslmode=require.' },
  );
}
