// Passwords as SCRAM-SHA-256 verifiers. Shell only in that it draws salts.
//
// RFC 5802 §3, RFC 7677, and PostgreSQL's text form
// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (base64), which clients send as well.

import { createHash, createHmac, pbkdf2Sync, randomBytes, randomInt } from 'node:crypto';
import { saslPrepare } from './saslprep.ts';

/** The same shape as the wire's. */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** 32 bytes. */
  readonly storedKey: Uint8Array;
  /** 32 bytes. */
  readonly serverKey: Uint8Array;
}

/** PostgreSQL's scram_iterations. */
const ITERATIONS = 4_096;
/** What a verifier made elsewhere may ask of a login; above it one login would stall the node. */
const ITERATIONS_MAX = 1_000_000;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** No letters that look like digits; 32 of them, so 5 bits each. */
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
/** 24 letters of 5 bits: 120 bits, beyond guessing even with the verifier in hand. */
const GENERATED_LETTERS = 24;

/** A password nobody can guess, that needs no escaping in a URL or a shell. */
export function generatePassword(): string {
  return Array.from({ length: GENERATED_LETTERS }, () => ALPHABET[randomInt(ALPHABET.length)]).join(
    '',
  );
}

/** The verifier of `password` under a fresh salt, or the one that it already is in PostgreSQL's text form. */
export function verifierOfPassword(password: string): ScramVerifier {
  const given = tryParseVerifier(password);
  if (given !== undefined) return given;
  return deriveVerifier(password, new Uint8Array(randomBytes(SALT_BYTES)), ITERATIONS);
}

export function deriveVerifier(
  password: string,
  salt: Uint8Array,
  iterations: number,
): ScramVerifier {
  const salted = pbkdf2Sync(saslPrepare(password), salt, iterations, KEY_BYTES, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  return {
    iterations,
    salt,
    storedKey: new Uint8Array(createHash('sha256').update(clientKey).digest()),
    serverKey: new Uint8Array(createHmac('sha256', salted).update('Server Key').digest()),
  };
}

/** The verifier in PostgreSQL's text form, or undefined for any other text (which then is a password). */
export function tryParseVerifier(text: string): ScramVerifier | undefined {
  const match = /^SCRAM-SHA-256\$(\d{1,7}):([A-Za-z0-9+/]+=*)\$([^:]{44}):(.{44})$/.exec(text);
  if (match === null) return undefined;
  const [salt, storedKey, serverKey] = match.slice(2).map((part) => Buffer.from(part, 'base64'));
  const iterations = Number(match[1]);
  if (iterations < 1 || iterations > ITERATIONS_MAX) return undefined;
  if (storedKey!.length !== KEY_BYTES || serverKey!.length !== KEY_BYTES) return undefined;
  return {
    iterations,
    salt: new Uint8Array(salt!),
    storedKey: new Uint8Array(storedKey!),
    serverKey: new Uint8Array(serverKey!),
  };
}

export function formatVerifier(verifier: ScramVerifier): string {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const { iterations, salt, storedKey, serverKey } = verifier;
  return `SCRAM-SHA-256$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`;
}
