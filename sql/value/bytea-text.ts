// bytea's two text forms, hex and escape. Pure.

import { fromHex, hex, utf8 } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';

/** @throws SqlError 22023 for bad hexadecimal, 22P02 for a bad escape */
export function parseBytea(text: string): Uint8Array {
  return text.startsWith('\\x') ? parseHex(text.slice(2)) : parseEscape(text);
}

function parseHex(text: string): Uint8Array {
  if (/^(?:[0-9a-fA-F]{2})*$/.test(text)) return fromHex(text);
  const digits = text.replace(/\s+/g, '');
  const strange = /[^0-9a-fA-F]/u.exec(digits);
  if (strange !== null) {
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      `invalid hexadecimal digit: "${strange[0]}"`,
    );
  }
  if (digits.length % 2 !== 0) {
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      'invalid hexadecimal data: odd number of digits',
    );
  }
  return fromHex(digits);
}

function parseEscape(text: string): Uint8Array {
  const source = utf8(text);
  const bytes: number[] = [];
  for (let at = 0; at < source.length; at++) {
    if (source[at] !== 92) {
      bytes.push(source[at]!);
    } else if (source[at + 1] === 92) {
      bytes.push(92);
      at++;
    } else {
      const octal = String.fromCharCode(...source.subarray(at + 1, at + 4));
      if (!/^[0-3][0-7]{2}$/.test(octal)) {
        throw new SqlError(
          SQLSTATE.invalidTextRepresentation,
          'invalid input syntax for type bytea',
        );
      }
      bytes.push(parseInt(octal, 8));
      at += 3;
    }
  }
  return Uint8Array.from(bytes);
}

export function formatBytea(bytes: Uint8Array, output: 'hex' | 'escape'): string {
  if (output === 'hex') return '\\x' + hex(bytes);
  let text = '';
  for (const byte of bytes) {
    if (byte === 92) text += '\\\\';
    else if (byte < 32 || byte > 126) text += '\\' + byte.toString(8).padStart(3, '0');
    else text += String.fromCharCode(byte);
  }
  return text;
}
