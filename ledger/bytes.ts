// Bytes: hexadecimal, base64, comparison, big-endian integers, UTF-8. Pure, browser-safe.

const HEX: readonly string[] = Array.from({ length: 256 }, (_, n) =>
  n.toString(16).padStart(2, '0'),
);
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** The bytes of a hexadecimal text of either case, or null if it is none. */
export function tryFromHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** @throws RangeError if `text` is not hexadecimal */
export function fromHex(text: string): Uint8Array {
  const bytes = tryFromHex(text);
  if (bytes === null) throw new RangeError('not hexadecimal');
  return bytes;
}

/** Standard alphabet, padded (RFC 4648 §4). */
export function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += BASE64[word >> 18]! + BASE64[(word >> 12) & 63]!;
    text += (left > 1 ? BASE64[(word >> 6) & 63]! : '=') + (left > 2 ? BASE64[word & 63]! : '=');
  }
  return text;
}

/** The bytes of a padded base64 text in its one canonical form, or null if it is none. */
export function tryFromBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let at = 0;
  for (let i = 0; i < text.length; i += 4) {
    let word = 0;
    for (let k = 0; k < 4; k++) word = (word << 6) | Math.max(0, BASE64.indexOf(text[i + k]!));
    // Stores beyond the end of the array are dropped: those are the padding.
    bytes[at++] = word >> 16;
    bytes[at++] = word >> 8;
    bytes[at++] = word;
  }
  return base64(bytes) === text ? bytes : null;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Order of memcmp, a prefix first: negative, zero or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** 4 bytes, big-endian; `value` is 0 … 2^32-1. */
export function uint32(value: number): Uint8Array {
  return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
}

/** UTF-8 of a text; a lone surrogate becomes U+FFFD. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Encodes into `target` and returns the number of bytes written. */
export function utf8Into(text: string, target: Uint8Array): number {
  return encoder.encodeInto(text, target).written;
}

/** @throws TypeError if `bytes` is not UTF-8; a byte order mark is kept as the character it is */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/**
 * A text of as many characters as bytes: those below 0x80 are themselves, the others lose their high bit. Of many
 * short ASCII texts in it each is then a slice, which takes a tenth of decoding it by itself.
 */
export function asciiOf(bytes: Uint8Array): string {
  const plain = new Uint8Array(bytes.length);
  plain.set(bytes);
  const words = new Uint32Array(plain.buffer, 0, plain.length >> 2);
  for (let i = 0; i < words.length; i++) words[i]! &= 0x7f7f7f7f;
  for (let i = words.length << 2; i < plain.length; i++) plain[i]! &= 0x7f;
  return fromUtf8(plain);
}
