// Functions of text and bytes. Pure.

import { base64, concat, fromUtf8, hex, tryFromBase64, tryFromHex, utf8 } from './bytes.ts';
import { SqlError } from './error.ts';
import type { FunctionDefinition, FunctionTable } from './function.ts';
import { define, toBool } from './function.ts';
import { like, likeEscape, likeIgnoringCase } from './like.ts';
import {
  decodeNumeric,
  encodeNumeric,
  limitNumeric,
  numericModifier,
  parseNumeric,
} from './numeric.ts';
import { SQLSTATE } from './sqlstate.ts';
import * as text from './text.ts';
import { applyTypmod } from './typmod.ts';
import type { BaseType } from './type.ts';
import { sqlType } from './type.ts';

type Match = (value: string, pattern: string) => boolean;

function pattern(base: BaseType, match: Match, wanted: boolean): FunctionDefinition {
  return define([base, 'text'], 'bool', (value: string, sign: string) =>
    toBool(match(value, sign) === wanted),
  );
}

function patterns(base: BaseType, prefix: string): [string, FunctionDefinition][] {
  return [
    [`${prefix}like`, pattern(base, like, true)],
    [`${prefix}nlike`, pattern(base, like, false)],
    [`${prefix}iclike`, pattern(base, likeIgnoringCase, true)],
    [`${prefix}icnlike`, pattern(base, likeIgnoringCase, false)],
  ];
}

function trimmer(left: boolean, right: boolean): FunctionDefinition {
  return define(['text', 'text'], 'text', (value: string, set: string) =>
    text.trim(value, set, left, right),
  );
}

function blankTrimmer(left: boolean, right: boolean): FunctionDefinition {
  return define(['text'], 'text', (value: string) => text.trim(value, ' ', left, right));
}

const same = (value: string): string => value;

function cut(base: 'varchar' | 'bpchar'): FunctionDefinition {
  return define([base, 'int4', 'bool'], base, (value: string, typmod: bigint, explicit: bigint) =>
    applyTypmod(value, sqlType(base, Number(typmod)), explicit === 1n),
  );
}

/** left('abc', -1) is 'ab'. */
function left(value: string, count: bigint): string {
  return text.slice(value, 0, Number(count));
}

function right(value: string, count: bigint): string {
  if (count === 0n) return '';
  return text.slice(value, Number(-count));
}

function overlay(value: string, part: string, start: bigint, length: bigint): string {
  if (start <= 0n)
    throw new SqlError(SQLSTATE.substringError, 'negative substring length not allowed');
  return text.substring(value, 1n, start - 1n) + part + text.substring(value, start + length);
}

const TEXT: FunctionTable = {
  textcat: define(['text', 'text'], 'text', text.concatenate),
  textlen: define(['text'], 'int4', (value: string) => BigInt(text.lengthOf(value))),
  bpcharlen: define(['bpchar'], 'int4', (value: string) =>
    BigInt(text.lengthOf(value.replace(/ +$/, ''))),
  ),
  textoctetlen: define(['text'], 'int4', (value: string) => BigInt(utf8(value).length)),
  lower: define(['text'], 'text', text.lowerAscii),
  upper: define(['text'], 'text', text.upperAscii),
  initcap: define(['text'], 'text', text.capitalize),
  text_substr: define(['text', 'int4', 'int4'], 'text', text.substring),
  text_substr_no_len: define(['text', 'int4'], 'text', text.substring),
  textoverlay: define(['text', 'text', 'int4', 'int4'], 'text', overlay),
  textoverlay_no_len: define(
    ['text', 'text', 'int4'],
    'text',
    (value: string, part: string, start: bigint) =>
      overlay(value, part, start, BigInt(text.lengthOf(part))),
  ),
  btrim: trimmer(true, true),
  ltrim: trimmer(true, false),
  rtrim: trimmer(false, true),
  btrim1: blankTrimmer(true, true),
  ltrim1: blankTrimmer(true, false),
  rtrim1: blankTrimmer(false, true),
  replace_text: define(['text', 'text', 'text'], 'text', text.replace),
  textpos: define(['text', 'text'], 'int4', (value: string, part: string) =>
    BigInt(text.position(value, part)),
  ),
  text_left: define(['text', 'int4'], 'text', left),
  text_right: define(['text', 'int4'], 'text', right),
  repeat: define(['text', 'int4'], 'text', text.repeat),
  text_reverse: define(['text'], 'text', (value: string) => [...value].reverse().join('')),
  lpad: define(
    ['text', 'int4', 'text'],
    'text',
    (value: string, length: bigint, fill = ' ') => text.pad(value, length, fill, true),
    1,
  ),
  rpad: define(
    ['text', 'int4', 'text'],
    'text',
    (value: string, length: bigint, fill = ' ') => text.pad(value, length, fill, false),
    1,
  ),
  split_part: define(['text', 'text', 'int4'], 'text', text.splitPart),
  translate: define(['text', 'text', 'text'], 'text', text.translate),
  text_starts_with: define(['text', 'text'], 'bool', (value: string, prefix: string) =>
    toBool(value.startsWith(prefix)),
  ),
  ascii: define(['text'], 'int4', (value: string) => BigInt(value.codePointAt(0) ?? 0)),
  chr: define(['int4'], 'text', text.characterOf),
  like_escape: define(['text', 'text'], 'text', likeEscape),
  text_larger: define(['text', 'text'], 'text', (a: string, b: string) => (a > b ? a : b)),
  text_smaller: define(['text', 'text'], 'text', (a: string, b: string) => (a < b ? a : b)),
  ...Object.fromEntries([...patterns('text', 'text'), ...patterns('name', 'name')]),
};

const CASTS: FunctionTable = {
  varchar: cut('varchar'),
  bpchar: cut('bpchar'),
  name_text: define(['name'], 'text', same),
  name_bpchar: define(['name'], 'bpchar', same),
  text_name: define(['text'], 'name', (value: string) => truncate(value)),
  bpchar_name: define(['bpchar'], 'name', (value: string) => truncate(value)),
  char_text: define(['char'], 'text', same),
  text_char: define(['text'], 'char', (value: string) => [...value][0] ?? ''),
  char_bpchar: define(['char'], 'bpchar', same),
  numeric: define(['numeric', 'int4'], 'numeric', (value: Uint8Array, typmod: bigint) => {
    if (typmod < 4n) return value;
    const { precision, scale } = numericModifier(Number(typmod));
    return encodeNumeric(limitNumeric(decodeNumeric(value), precision, scale));
  }),
  numeric_in: define(['text'], 'numeric', (value: string) => encodeNumeric(parseNumeric(value))),
};

/** A name holds 63 bytes, never half a character. */
function truncate(value: string): string {
  const bytes = utf8(value);
  if (bytes.length <= 63) return value;
  let end = 63;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return fromUtf8(bytes.subarray(0, end));
}

// ---- bytes ----

function substringBytes(bytes: Uint8Array, start: bigint, length?: bigint): Uint8Array {
  if (length !== undefined && length < 0n) {
    throw new SqlError(SQLSTATE.substringError, 'negative substring length not allowed');
  }
  const from = start < 1n ? 0 : Number(start - 1n);
  const end = length === undefined ? bytes.length : Math.max(Number(start + length - 1n), from);
  return bytes.slice(from, end);
}

function indexOfBytes(bytes: Uint8Array, part: Uint8Array): bigint {
  for (let at = 0; at + part.length <= bytes.length; at++) {
    if (part.every((byte, offset) => bytes[at + offset] === byte)) return BigInt(at + 1);
  }
  return 0n;
}

function unknownEncoding(name: string): SqlError {
  return new SqlError(SQLSTATE.invalidParameterValue, `unrecognized encoding: "${name}"`);
}

/** encode(): base64 in lines of 76 signs, as Postgres writes it. */
function encodeBytes(bytes: Uint8Array, name: string): string {
  switch (text.lowerAscii(name)) {
    case 'hex':
      return hex(bytes);
    case 'base64':
      return (base64(bytes).match(/.{1,76}/g) ?? []).join('\n');
    case 'escape':
      return Array.from(bytes, escapeByte).join('');
    default:
      throw unknownEncoding(name);
  }
}

function escapeByte(byte: number): string {
  if (byte === 92) return '\\\\';
  return byte === 0 || byte > 127
    ? '\\' + byte.toString(8).padStart(3, '0')
    : String.fromCharCode(byte);
}

function decodeBytes(value: string, name: string): Uint8Array {
  const kind = text.lowerAscii(name);
  if (kind !== 'hex' && kind !== 'base64') throw unknownEncoding(name);
  const compact = value.replace(/\s+/g, '');
  const bytes = kind === 'hex' ? tryFromHex(compact) : tryFromBase64(compact);
  if (bytes !== null) return bytes;
  const strange = kind === 'hex' ? /[^0-9a-fA-F]/u.exec(compact) : /[^A-Za-z0-9+/=]/u.exec(compact);
  if (strange !== null) {
    const message =
      kind === 'hex'
        ? `invalid hexadecimal digit: "${strange[0]}"`
        : `invalid symbol "${strange[0]}" found while decoding base64 sequence`;
    throw new SqlError(SQLSTATE.invalidParameterValue, message);
  }
  throw new SqlError(
    SQLSTATE.invalidParameterValue,
    kind === 'hex'
      ? 'invalid hexadecimal data: odd number of digits'
      : 'invalid base64 end sequence',
  );
}

const BYTES: FunctionTable = {
  byteacat: define(['bytea', 'bytea'], 'bytea', (a: Uint8Array, b: Uint8Array) => concat(a, b)),
  byteaoctetlen: define(['bytea'], 'int4', (value: Uint8Array) => BigInt(value.length)),
  bytea_substr: define(['bytea', 'int4', 'int4'], 'bytea', substringBytes),
  bytea_substr_no_len: define(['bytea', 'int4'], 'bytea', substringBytes),
  byteapos: define(['bytea', 'bytea'], 'int4', indexOfBytes),
  binary_encode: define(['bytea', 'text'], 'text', encodeBytes),
  binary_decode: define(['text', 'text'], 'bytea', decodeBytes),
};

export const TEXT_FUNCTIONS: FunctionTable = { ...TEXT, ...CASTS, ...BYTES };
