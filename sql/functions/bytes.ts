// Bytes and bits of bytea, and texts in other encodings. Pure.

import { hex, utf8 } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import type { FunctionTable } from './function.ts';

function checkedIndex(index: Datum | undefined, size: number): number {
  const at = Number(index);
  if (at >= 0 && at < size) return at;
  throw new SqlError(
    SQLSTATE.arraySubscriptError,
    `index ${String(index)} out of valid range, 0..${size - 1}`,
  );
}

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
}

function setBit(bytes: Uint8Array, index: Datum, bit: Datum): Uint8Array {
  const at = checkedIndex(index, bytes.length * 8);
  if (bit !== 0n && bit !== 1n) {
    throw new SqlError(SQLSTATE.invalidParameterValue, 'new bit must be 0 or 1');
  }
  const mask = 1 << (at & 7);
  const before = bytes[at >> 3]!;
  return withByte(bytes, at >> 3, bit === 1n ? before | mask : before & ~mask);
}

type Encoding = 'UTF8' | 'LATIN1' | 'SQL_ASCII';

const ENCODINGS: Readonly<Record<string, Encoding>> = {
  utf8: 'UTF8',
  unicode: 'UTF8',
  latin1: 'LATIN1',
  iso88591: 'LATIN1',
  sqlascii: 'SQL_ASCII',
};

function encodingOf(name: string, end: 'source' | 'destination'): Encoding {
  const found = ENCODINGS[name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')];
  if (found !== undefined) return found;
  throw new SqlError(SQLSTATE.invalidParameterValue, `invalid ${end} encoding name "${name}"`);
}

function shown(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `0x${hex(Uint8Array.of(byte))}`).join(' ');
}

function toEncoding(text: string, name: string): Uint8Array {
  if (encodingOf(name, 'destination') !== 'LATIN1') return utf8(text);
  const codes = [...text].map((character) => {
    const code = character.codePointAt(0)!;
    if (code < 0x100) return code;
    throw new SqlError(
      SQLSTATE.untranslatableCharacter,
      `character with byte sequence ${shown(utf8(character))} in encoding "UTF8" has no equivalent in encoding "LATIN1"`,
    );
  });
  return Uint8Array.from(codes);
}

function fromEncoding(bytes: Uint8Array, name: string): string {
  const encoding = encodingOf(name, 'source');
  const text =
    encoding === 'LATIN1'
      ? Buffer.from(bytes).toString('latin1')
      : Buffer.from(bytes).toString('utf8');
  const damaged = encoding !== 'LATIN1' && hex(utf8(text)) !== hex(bytes);
  if (!damaged && !text.includes('\0')) return text;
  throw new SqlError(
    SQLSTATE.characterNotInRepertoire,
    `invalid byte sequence for encoding "${encoding}"${damaged ? '' : ': 0x00'}`,
  );
}

/** By Postgres' symbols. */
export const BYTES: FunctionTable = {
  byteaGetByte: {
    impl: ([bytes, index]) => {
      const data = bytes as Uint8Array;
      return BigInt(data[checkedIndex(index, data.length)]!);
    },
  },
  byteaSetByte: {
    impl: ([bytes, index, value]) => {
      const data = bytes as Uint8Array;
      return withByte(data, checkedIndex(index, data.length), Number(value) & 0xff);
    },
  },
  byteaGetBit: {
    impl: ([bytes, index]) => {
      const data = bytes as Uint8Array;
      const at = checkedIndex(index, data.length * 8);
      return BigInt((data[at >> 3]! >> (at & 7)) & 1);
    },
  },
  byteaSetBit: { impl: ([bytes, index, bit]) => setBit(bytes as Uint8Array, index!, bit!) },
  pg_convert_to: { impl: ([text, name]) => toEncoding(text as string, name as string) },
  pg_convert_from: { impl: ([bytes, name]) => fromEncoding(bytes as Uint8Array, name as string) },
};
