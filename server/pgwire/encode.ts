// BackendMessage → bytes. Pure. The only file that knows pg-protocol.
//
// (1) A zero byte inside a text would break the framing of everything behind it: texts are cut there.
// (2) Messages without content are encoded once.

import { Writer } from 'pg-protocol/dist/buffer-writer.js';
import { COMMAND_TAGS_CACHED_MAX } from '../limits.ts';
import type { ColumnDescription, TransactionStatus } from './backend.ts';
import type { BackendMessage } from './message.ts';
import { START_UP } from './message.ts';

const fixed = (type: string, body = ''): Buffer => {
  const writer = new Writer(16);
  return writer.addString(body).flush(type.charCodeAt(0));
};

export const PARSE_COMPLETE = fixed('1');
export const BIND_COMPLETE = fixed('2');
export const CLOSE_COMPLETE = fixed('3');
export const NO_DATA = fixed('n');
export const PORTAL_SUSPENDED = fixed('s');
export const EMPTY_QUERY_RESPONSE = fixed('I');
export const COPY_DONE = fixed('c');
export const READY_FOR_QUERY: Readonly<Record<TransactionStatus, Buffer>> = {
  I: fixed('Z', 'I'),
  T: fixed('Z', 'T'),
  E: fixed('Z', 'E'),
};

const commandTags = new Map<string, Buffer>();

/** CommandComplete, from memory if the tag was seen before. */
export function commandComplete(tag: string): Buffer {
  let bytes = commandTags.get(tag);
  if (bytes === undefined) {
    bytes = encode({ kind: 'commandComplete', tag });
    if (commandTags.size < COMMAND_TAGS_CACHED_MAX) commandTags.set(tag, bytes);
  }
  return bytes;
}

type Described = { readonly formats: readonly number[]; readonly bytes: Buffer };

/** What columns were last described as; drivers ask before every Execute. */
const described = new WeakMap<readonly ColumnDescription[], Described>();

/** RowDescription, from memory if these columns were described with these formats before. */
export function rowDescription(
  columns: readonly ColumnDescription[],
  formats: readonly number[],
): Buffer {
  const known = described.get(columns);
  if (
    known !== undefined &&
    known.formats.length === formats.length &&
    known.formats.every((format, i) => format === formats[i])
  )
    return known.bytes;
  const bytes = encode({ kind: 'rowDescription', columns, formats });
  described.set(columns, { formats, bytes });
  return bytes;
}

/** The five bytes in front of CopyData of `length` bytes. */
export function copyDataHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(5);
  header[0] = 0x64;
  header.writeInt32BE(length + 4, 1);
  return header;
}

/** Encodes one message, with type byte and length. */
export function encode(message: BackendMessage): Buffer {
  const writer = new Writer();
  switch (message.kind) {
    case 'authenticationOk':
      return writer.addInt32(0).flush(0x52);
    case 'authenticationSasl':
      writer.addInt32(10);
      for (const mechanism of message.mechanisms) addText(writer, mechanism);
      return writer.addCString('').flush(0x52);
    case 'authenticationSaslContinue':
      return writer.addInt32(11).addString(message.data).flush(0x52);
    case 'authenticationSaslFinal':
      return writer.addInt32(12).addString(message.data).flush(0x52);
    case 'negotiateProtocolVersion':
      writer.addInt32(START_UP.protocol).addInt32(message.extensions.length);
      for (const name of message.extensions) addText(writer, name);
      return writer.flush(0x76);
    case 'parameterStatus':
      addText(writer, message.name);
      return addText(writer, message.value).flush(0x53);
    case 'backendKeyData':
      return writer.addInt32(message.processId).addInt32(message.secretKey).flush(0x4b);
    case 'readyForQuery':
      return READY_FOR_QUERY[message.status];
    case 'parameterDescription':
      writer.addInt16(message.oids.length);
      for (const oid of message.oids) writer.addInt32(oid);
      return writer.flush(0x74);
    case 'rowDescription':
      return encodeRowDescription(writer, message);
    case 'commandComplete':
      return addText(writer, message.tag).flush(0x43);
    case 'errorResponse':
    case 'noticeResponse':
      for (const [type, text] of message.fields) addText(writer.addString(type), text);
      return writer.addCString('').flush(message.kind === 'errorResponse' ? 0x45 : 0x4e);
    case 'copyInResponse':
    case 'copyOutResponse':
      writer.add(Buffer.of(message.format)).addInt16(message.columnFormats.length);
      for (const format of message.columnFormats) writer.addInt16(format);
      return writer.flush(message.kind === 'copyInResponse' ? 0x47 : 0x48);
    default:
      return message satisfies never;
  }
}

function encodeRowDescription(
  writer: Writer,
  { columns, formats }: Extract<BackendMessage, { kind: 'rowDescription' }>,
): Buffer {
  writer.addInt16(columns.length);
  columns.forEach((column, index) => {
    addText(writer, column.name).addInt32(column.tableOid).addInt16(column.columnNumber);
    writer.addInt32(column.typeOid).addInt16(column.typeSize).addInt32(column.typmod);
    writer.addInt16((formats.length === 1 ? formats[0] : formats[index]) ?? 0);
  });
  return writer.flush(0x54);
}

function addText(writer: Writer, text: string): Writer {
  const zero = text.indexOf('\0');
  return writer.addCString(zero < 0 ? text : text.slice(0, zero));
}
