// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side, as a state machine. Pure.
//
//     begin ──client-first──▶ challenged ──client-final──▶ done
//       └─────────── any SqlError ends the exchange ──────────┘
//
// (1) Randomness and hashes come from the caller.
// (2) An unknown user walks the same way as a known one, against a verifier nobody has the password of, and
//     ends in the same error: names cannot be probed. The salt shown is always the same for the same name.
// (3) Channel binding: a client that could bind but believes we cannot ('y') while we offered it sits behind
//     someone who removed the offer: refused.
//
// RFC 5802, RFC 7677, RFC 5929 section 4 (tls-server-end-point); texts of errors from auth-scram.c.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ScramVerifier } from './backend.ts';

export const SCRAM_SHA_256 = 'SCRAM-SHA-256';
export const SCRAM_SHA_256_PLUS = 'SCRAM-SHA-256-PLUS';

/** PostgreSQL's scram_iterations; more would cost each client of a pool more at every connect. */
export const SCRAM_ITERATIONS = 4096;
const SALT_BYTES = 16;
const PRINTABLE = /^[\x21-\x2b\x2d-\x7e]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** What the shell gives: SHA-256 and HMAC-SHA-256 of its crypto library. 32 bytes each. */
export interface ScramHashes {
  sha256(data: Uint8Array): Uint8Array;
  hmac(key: Uint8Array, data: Uint8Array): Uint8Array;
}

/** A verifier that no password fits, the same for the same name as long as the secret of the node lives. */
export function mockVerifier(user: string, secret: Uint8Array, hashes: ScramHashes): ScramVerifier {
  const derive = (what: string): Uint8Array =>
    hashes.hmac(secret, Buffer.from(`${what}\0${user}`, 'utf8'));
  return {
    iterations: SCRAM_ITERATIONS,
    salt: derive('salt').subarray(0, SALT_BYTES),
    storedKey: derive('stored key'),
    serverKey: derive('server key'),
  };
}

export interface ScramSetup {
  readonly hashes: ScramHashes;
  readonly verifier: ScramVerifier;
  /** False for a mock verifier: the exchange then fails whatever the proof. */
  readonly known: boolean;
  /** Mechanism the client chose of those offered. */
  readonly mechanism: string;
  /** Hash of the server's certificate, if the connection is encrypted and PLUS was offered. */
  readonly endPoint: Uint8Array | undefined;
  /** Our part of the nonce: printable ASCII without comma, at least 18 bytes of randomness. */
  readonly nonce: string;
  /** For the text of 28P01. */
  readonly user: string;
}

export class ScramExchange {
  readonly #setup: ScramSetup;
  #state: 'begin' | 'challenged' | 'done' = 'begin';
  /** `gs2-header` as the client sent it: it comes back inside the channel binding of its final message. */
  #header = '';
  #clientFirstBare = '';
  #serverFirst = '';
  #nonce = '';

  constructor(setup: ScramSetup) {
    this.#setup = setup;
  }

  /**
   * Takes the client's next message.
   *
   * @returns what to send: AuthenticationSASLContinue, then AuthenticationSASLFinal when `done`
   * @throws  SqlError 08P01 for a malformed message, 28000 for a wrong binding, 28P01 for a wrong password
   */
  step(message: string): { readonly done: boolean; readonly data: string } {
    if (this.#state === 'begin') return { done: false, data: this.#challenge(message) };
    if (this.#state === 'challenged') return { done: true, data: this.#finish(message) };
    throw malformed('The exchange is over.');
  }

  #challenge(message: string): string {
    const match = /^((?:([ny])|p=([^,]*)),(?:a=([^,]*))?,)(.*)$/s.exec(message);
    if (match === null) throw malformed('The client-first-message is not understood.');
    const [, header, flag, binding, authorizationId, bare] = match;
    this.#checkBinding(flag, binding);
    if (authorizationId !== undefined) {
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        'client uses authorization identity, but it is not supported',
      );
    }
    if (bare!.startsWith('m=')) {
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        'client requires an unsupported SCRAM extension',
      );
    }
    // The name in it is ignored, as in PostgreSQL: it is that of the start-up packet that counts.
    const nonce = /^n=[^,]*,r=([^,]*)(?:,.*)?$/s.exec(bare!)?.[1];
    if (nonce === undefined) throw malformed('The client-first-message is not understood.');
    if (!PRINTABLE.test(nonce)) {
      throw new SqlError(SQLSTATE.protocolViolation, 'non-printable characters in SCRAM nonce');
    }
    const { verifier } = this.#setup;
    this.#header = header!;
    this.#clientFirstBare = bare!;
    this.#nonce = nonce + this.#setup.nonce;
    const salt = Buffer.from(verifier.salt).toString('base64');
    this.#serverFirst = `r=${this.#nonce},s=${salt},i=${verifier.iterations}`;
    this.#state = 'challenged';
    return this.#serverFirst;
  }

  #checkBinding(flag: string | undefined, binding: string | undefined): void {
    const { mechanism, endPoint } = this.#setup;
    const plus = mechanism === SCRAM_SHA_256_PLUS;
    if (flag !== undefined && plus) {
      throw malformed(
        'The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.',
      );
    }
    if (flag === 'y' && endPoint !== undefined) {
      throw new SqlError(
        SQLSTATE.invalidAuthorizationSpecification,
        'SCRAM channel binding negotiation error',
        {
          detail:
            'The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.',
        },
      );
    }
    if (binding === undefined) return;
    if (!plus) {
      throw malformed(
        'The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.',
      );
    }
    if (binding !== 'tls-server-end-point') {
      throw new SqlError(
        SQLSTATE.protocolViolation,
        `unsupported SCRAM channel-binding type "${binding}"`,
      );
    }
  }

  #finish(message: string): string {
    const match = /^(c=([^,]*),r=([^,]*)(?:,.*)?),p=([^,]*)$/s.exec(message);
    if (match === null) throw malformed('The client-final-message is not understood.');
    const [, withoutProof, binding, nonce, proofText] = match;
    this.#state = 'done';
    if (binding !== this.#expectedBinding()) {
      throw new SqlError(
        SQLSTATE.invalidAuthorizationSpecification,
        'SCRAM channel binding check failed',
      );
    }
    if (nonce !== this.#nonce) {
      throw new SqlError(SQLSTATE.protocolViolation, 'invalid SCRAM response', {
        detail: 'Nonce does not match.',
      });
    }
    const proof = Buffer.from(proofText!, 'base64');
    if (!BASE64.test(proofText!) || proof.length !== 32) {
      throw malformed('Malformed proof in client-final-message.');
    }
    const { hashes, verifier, known, user } = this.#setup;
    const text = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof!}`;
    const authenticated = Buffer.from(text, 'utf8');
    const signature = hashes.hmac(verifier.storedKey, authenticated);
    const clientKey = proof.map((byte, index) => byte ^ signature[index]!);
    if (!isEqual(hashes.sha256(clientKey), verifier.storedKey) || !known) {
      throw new SqlError(
        SQLSTATE.invalidPassword,
        `password authentication failed for user "${user}"`,
      );
    }
    const ours = hashes.hmac(verifier.serverKey, authenticated);
    return `v=${Buffer.from(ours).toString('base64')}`;
  }

  #expectedBinding(): string {
    const header = Buffer.from(this.#header, 'utf8');
    const { mechanism, endPoint } = this.#setup;
    const data = mechanism === SCRAM_SHA_256_PLUS ? (endPoint ?? Buffer.alloc(0)) : Buffer.alloc(0);
    return Buffer.concat([header, data]).toString('base64');
  }
}

/** In a time that does not depend on where they differ. */
function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ (b[i] ?? 0);
  return difference === 0;
}

function malformed(detail: string): SqlError {
  return new SqlError(SQLSTATE.protocolViolation, 'malformed SCRAM message', { detail });
}
