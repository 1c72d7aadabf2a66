// Golden conversations: what a client sends, message by message, and what a server must answer. Shell.
//
// A file is a list of records, separated by blank lines. A record is
//
//     # comments, for the reader
//     until copyInResponse          (default: readyForQuery)
//     parse {"name":"s","text":"select $1::int4"}
//     sync
//     ----
//     the answers, one message a line
//
// Messages and their arguments are those of pg-protocol's serialiser. All records of a file share a connection.

import { readFileSync, writeFileSync } from 'node:fs';
import { serialize } from 'pg-protocol';
import { RawClient } from '../protocol/raw-client.ts';
import type { Heard } from '../protocol/raw-client.ts';

const MESSAGES: Readonly<Record<string, (argument: never) => Uint8Array>> = {
  parse: serialize.parse,
  bind: serialize.bind,
  describe: serialize.describe,
  execute: serialize.execute,
  close: serialize.close,
  flush: serialize.flush,
  sync: serialize.sync,
  query: serialize.query,
  copyData: (text: string) => serialize.copyData(Buffer.from(text)),
  copyDone: serialize.copyDone,
  copyFail: serialize.copyFail,
  bytes: (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex'),
};

/**
 * Holds the conversation of `file` with the server at `url`.
 *
 * @returns the file as it would read with this server's answers
 */
export async function converse(file: string, url: string): Promise<string> {
  const client = await RawClient.open(new URL(url));
  const records = readFileSync(file, 'utf8').trimEnd().split('\n\n');
  const answered: string[] = [];
  for (const record of records) {
    const head = record.split('\n----')[0]!;
    const lines = head.split('\n').filter((line) => !line.startsWith('#'));
    let until = 'readyForQuery';
    const messages: Uint8Array[] = [];
    for (const line of lines) {
      const [verb = '', ...rest] = line.split(' ');
      if (verb === 'until') until = rest[0]!;
      else messages.push(serialiseLine(verb, rest.join(' '), file));
    }
    if (messages.length === 0) {
      answered.push(head);
      continue;
    }
    client.send(...messages);
    const heard = await client.until(until);
    answered.push([head, '----', ...heard.map(print)].join('\n'));
  }
  client.send(serialize.end());
  await client.closed;
  return `${answered.join('\n\n')}\n`;
}

/** Writes the server's answers into the file. */
export async function rewrite(file: string, url: string): Promise<void> {
  writeFileSync(file, await converse(file, url));
}

function serialiseLine(verb: string, argument: string, file: string): Uint8Array {
  const message = MESSAGES[verb];
  if (message === undefined) throw new Error(`${file}: no message ${verb}`);
  return message((argument === '' ? undefined : JSON.parse(argument)) as never);
}

interface Field {
  readonly name: string;
  readonly dataTypeID: number;
  readonly dataTypeSize: number;
  readonly dataTypeModifier: number;
  readonly format: string;
}

function print(message: Heard): string {
  const { name } = message;
  switch (name) {
    case 'commandComplete':
      return `${name} ${String(message['text'])}`;
    case 'readyForQuery':
      return `${name} ${String(message['status'])}`;
    case 'dataRow':
      return `${name} ${JSON.stringify(message['fields'])}`;
    case 'parameterStatus':
      return `${name} ${String(message['parameterName'])} ${String(message['parameterValue'])}`;
    case 'parameterDescription':
      return `${name} ${JSON.stringify(message['dataTypeIDs'])}`;
    case 'copyData':
      return `${name} ${JSON.stringify(String(message['chunk']))}`;
    case 'rowDescription': {
      const fields = (message['fields'] as Field[]).map(
        (field) =>
          `${field.name}:${field.dataTypeID}:${field.dataTypeSize}:${field.dataTypeModifier}:${field.format}`,
      );
      return `${name} ${fields.join(' ')}`;
    }
    case 'error':
    case 'notice': {
      const parts = ['severity', 'code', 'message', 'detail', 'position', 'constraint'];
      const texts = parts.map((part) => message[part]).filter((text) => text !== undefined);
      return `${name} ${texts.join(' | ')}`;
    }
    default:
      return name;
  }
}
