// Codecs: one description of a record gives its encoder and its decoder. Pure, browser-safe.
//
// (1) What a codec writes it reads back as an equal value, and what it reads it writes back as the same bytes.
// (2) Both directions check ranges, lengths and enumerations and throw FormatError: nothing is written that
//     would not be read.
// (3) A record is an array of its fields in the order of the description; a variant is an array of its tag
//     and its fields. There are no optional or reordered fields: another shape is another format version.

import { CborReader, CborWriter } from './cbor.ts';
import { FormatError } from './error.ts';

export interface Codec<T> {
  readonly write: (writer: CborWriter, value: T) => void;
  readonly read: (reader: CborReader) => T;
}

/** One writer for all: a new buffer for each small record cost more than the record (measured: 5 of 7 µs). */
const scratch = new CborWriter();

/** The bytes of one value. */
export function encodeWith<T>(codec: Codec<T>, value: T): Uint8Array {
  // What an encoder that threw has left behind goes first.
  scratch.reset();
  codec.write(scratch, value);
  return scratch.finish();
}

/** @throws FormatError unless `bytes` are exactly one value of the codec */
export function decodeWith<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new CborReader(bytes);
  const value = codec.read(reader);
  reader.end();
  return value;
}

function refuse(what: string): never {
  throw new FormatError(what);
}

/** An integer from `min` to `max`, as a number. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Codec<number> {
  return {
    write(writer, value) {
      if (!(value >= min && value <= max)) refuse(`${value} is out of range`);
      writer.int(value);
    },
    read: (reader) => reader.integer(min, max),
  };
}

/** An id, a count, a height. */
export const uint: Codec<number> = integer(0);

/** A 32-bit signed integer. */
export const int32: Codec<number> = integer(-(2 ** 31), 2 ** 31 - 1);

/** A bigint of the int64 range. */
export const int64: Codec<bigint> = {
  write: (writer, value) => writer.int(value),
  read: (reader) => reader.int(),
};

/** A bigint from 0 to 2^63-1. */
export const uint63: Codec<bigint> = {
  write(writer, value) {
    if (value < 0n) refuse(`${value} is out of range`);
    writer.int(value);
  },
  read(reader) {
    const { offset } = reader;
    const value = reader.int();
    if (value < 0n) throw new FormatError(`${value} is out of range`, offset);
    return value;
  },
};

export const bool: Codec<boolean> = {
  write: (writer, value) => writer.bool(value),
  read: (reader) => reader.bool(),
};

/** A text of at most `max` bytes of UTF-8. */
export function text(max: number = Number.MAX_SAFE_INTEGER): Codec<string> {
  return {
    write(writer, value) {
      const start = writer.length;
      writer.text(value);
      // The head has at least one byte and at most five for any length that is allowed.
      if (writer.length - start - 1 > max && byteLength(value) > max) refuse('text is too long');
    },
    read: (reader) => reader.text(max),
  };
}

function byteLength(value: string): number {
  let bytes = 0;
  for (const character of value) {
    const point = character.codePointAt(0)!;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** A byte string of `min` to `max` bytes. */
export function blob(min: number, max: number): Codec<Uint8Array> {
  return {
    write(writer, value) {
      if (value.length < min || value.length > max)
        refuse(`${value.length} bytes are out of range`);
      writer.bytes(value);
    },
    read(reader) {
      const { offset } = reader;
      const value = reader.bytes(max);
      if (value.length < min) throw new FormatError(`${value.length} bytes are too few`, offset);
      return value;
    },
  };
}

/** A byte string of one length. */
export function bytes(length: number): Codec<Uint8Array> {
  return blob(length, length);
}

export const hash: Codec<Uint8Array> = bytes(32);

/** One word of a list, written as its place in it. The list only grows, at its end. */
export function oneOf<const W extends readonly string[]>(words: W): Codec<W[number]> {
  return {
    write(writer, value) {
      const place = words.indexOf(value);
      if (place < 0) refuse(`${value} is none of ${words.join(', ')}`);
      writer.uint(place);
    },
    read: (reader) => words[reader.uint(words.length - 1)]!,
  };
}

export function nullable<T>(codec: Codec<T>): Codec<T | null> {
  return {
    write(writer, value) {
      if (value === null) writer.null();
      else codec.write(writer, value);
    },
    read: (reader) => (reader.tryNull() ? null : codec.read(reader)),
  };
}

/** An array of `min` to `max` items. */
export function list<T>(
  item: Codec<T>,
  max: number = Number.MAX_SAFE_INTEGER,
  min = 0,
): Codec<readonly T[]> {
  return {
    write(writer, value) {
      if (value.length < min || value.length > max)
        refuse(`${value.length} items are out of range`);
      writer.array(value.length);
      for (const entry of value) item.write(writer, entry);
    },
    read(reader) {
      const { offset } = reader;
      const count = reader.array(max);
      if (count < min) throw new FormatError(`${count} items are too few`, offset);
      const value: T[] = [];
      for (let i = 0; i < count; i++) value.push(item.read(reader));
      return value;
    },
  };
}

/** Codecs of the fields of `T`. */
type Fields<T> = { readonly [K in keyof T]-?: Codec<T[K]> };

type Entry = readonly [string, Codec<unknown>];

function writeFields(writer: CborWriter, entries: readonly Entry[], value: object): void {
  for (const [name, codec] of entries) {
    codec.write(writer, (value as Readonly<Record<string, unknown>>)[name]);
  }
}

function readFields(
  reader: CborReader,
  entries: readonly Entry[],
  into: Record<string, unknown>,
): void {
  for (const [name, codec] of entries) into[name] = codec.read(reader);
}

function readCount(reader: CborReader, expected: number): void {
  const { offset } = reader;
  const count = reader.array();
  if (count !== expected)
    throw new FormatError(`${expected} fields expected, not ${count}`, offset);
}

/** An array of the fields in the order given here. */
export function record<T extends object>(fields: Fields<T>): Codec<T> {
  const entries = Object.entries(fields) as unknown as readonly Entry[];
  return {
    write(writer, value) {
      writer.array(entries.length);
      writeFields(writer, entries, value);
    },
    read(reader) {
      readCount(reader, entries.length);
      const value: Record<string, unknown> = {};
      readFields(reader, entries, value);
      return value as T;
    },
  };
}

/** The fields of `T` without those of the tag `K`. */
type Rest<T, K extends keyof T> = { readonly [P in Exclude<keyof T, K>]-?: Codec<T[P]> };

/**
 * A tagged union: an array of the tag's number and the fields of that variant.
 *
 * @param tag    name of the field that tells the variants apart
 * @param cases  for each value of it: its number, for ever, and its fields
 */
export function variants<T extends object, K extends keyof T & string>(
  tag: K,
  cases: {
    readonly [V in T[K] & string]: readonly [
      number,
      Rest<VariantOf<T, K, V>, K & keyof VariantOf<T, K, V>>,
    ];
  },
): Codec<T> {
  const byName = new Map<string, { readonly code: number; readonly entries: readonly Entry[] }>();
  const byCode = new Map<number, { readonly name: string; readonly entries: readonly Entry[] }>();
  for (const [name, [code, fields]] of Object.entries(
    cases as Readonly<Record<string, readonly [number, object]>>,
  )) {
    const entries = Object.entries(fields) as unknown as readonly Entry[];
    byName.set(name, { code, entries });
    byCode.set(code, { name, entries });
  }
  return {
    write(writer, value) {
      const found = byName.get(value[tag] as string);
      if (found === undefined) return refuse(`${String(value[tag])} is no known ${tag}`);
      writer.array(found.entries.length + 1);
      writer.uint(found.code);
      writeFields(writer, found.entries, value);
    },
    read(reader) {
      const { offset } = reader;
      const count = reader.array();
      if (count === 0) throw new FormatError(`a ${tag} expected`, offset);
      const code = reader.uint();
      const found = byCode.get(code);
      if (found === undefined) throw new FormatError(`${code} is no known ${tag}`, offset);
      if (count !== found.entries.length + 1) {
        throw new FormatError(`${found.name} has ${found.entries.length} fields`, offset);
      }
      const value: Record<string, unknown> = { [tag]: found.name };
      readFields(reader, found.entries, value);
      return value as T;
    },
  };
}

/** The members of `T` whose tag may be `V`; a member may serve several tags. */
type VariantOf<T, K extends keyof T, V> = T extends unknown ? (V extends T[K] ? T : never) : never;

/** A codec that contains itself, at most `max` levels deep. */
export function nested<T>(max: number, codec: () => Codec<T>): Codec<T> {
  return {
    write(writer, value) {
      if (++writer.depth > max) refuse(`more than ${max} levels`);
      codec().write(writer, value);
      writer.depth--;
    },
    read(reader) {
      if (++reader.depth > max) throw reader.fault(`more than ${max} levels`);
      const value = codec().read(reader);
      reader.depth--;
      return value;
    },
  };
}

/** A value refused unless `accepts` it; says what is wrong with it, or null. */
export function checked<T>(codec: Codec<T>, fault: (value: T) => string | null): Codec<T> {
  return {
    write(writer, value) {
      const wrong = fault(value);
      if (wrong !== null) refuse(wrong);
      codec.write(writer, value);
    },
    read(reader) {
      const { offset } = reader;
      const value = codec.read(reader);
      const wrong = fault(value);
      if (wrong !== null) throw new FormatError(wrong, offset);
      return value;
    },
  };
}
