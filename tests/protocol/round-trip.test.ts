// Our bytes against pg-protocol, which was written by others: its serialiser for what we decode, its parser for
// what we encode.

import { PassThrough } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { parse as parseStream, serialize } from 'pg-protocol';
import { decode } from '../../server/pgwire/decode.ts';
import * as encoder from '../../server/pgwire/encode.ts';
import { Framer } from '../../server/pgwire/framer.ts';
import type { BackendMessage, FrontendMessage } from '../../server/pgwire/message.ts';
import { decodeStartUp } from '../../server/pgwire/startup.ts';
import { dataRow } from './fake-backend.ts';

function decodeAll(...messages: Uint8Array[]): FrontendMessage[] {
  const framer = new Framer();
  framer.phase = 'query';
  framer.push(Buffer.concat(messages));
  const found: FrontendMessage[] = [];
  for (let type = framer.next(); type !== 0; type = framer.next()) {
    found.push(decode(type, framer.buffer, framer.start, framer.end));
  }
  return found;
}

async function parseAll(bytes: Buffer): Promise<Record<string, unknown>[]> {
  const stream = new PassThrough();
  const found: Record<string, unknown>[] = [];
  const done = parseStream(stream, (message) => found.push(message as never));
  stream.end(bytes);
  await done;
  return found;
}

async function parseOne(message: BackendMessage): Promise<Record<string, unknown>> {
  const found = await parseAll(encoder.encode(message));
  expect(found).toHaveLength(1);
  return found[0]!;
}

describe('what a client sends', () => {
  test('parse', () => {
    const bytes = serialize.parse({ name: 'é', text: 'select $1', types: [23, 4294967295] });
    expect(decodeAll(bytes)).toEqual([
      { kind: 'parse', name: 'é', text: 'select $1', parameterOids: [23, 4294967295] },
    ]);
  });

  test('bind with text, binary and null', () => {
    const bytes = serialize.bind({
      portal: 'p',
      statement: 's',
      values: ['text', Buffer.from([0, 1, 2]), null],
      binary: true,
    });
    const [message] = decodeAll(bytes);
    expect(message).toMatchObject({
      kind: 'bind',
      portal: 'p',
      statement: 's',
      formats: [0, 1, 0],
      resultFormats: [1],
    });
    if (message?.kind !== 'bind') throw new Error('not a bind');
    expect(message.values.map((value) => value && Buffer.from(value))).toEqual([
      Buffer.from('text'),
      Buffer.from([0, 1, 2]),
      null,
    ]);
  });

  test('the rest', () => {
    expect(
      decodeAll(
        serialize.describe({ type: 'S', name: 's' }),
        serialize.describe({ type: 'P' }),
        serialize.execute({ portal: 'p', rows: 7 }),
        serialize.execute(),
        serialize.close({ type: 'P', name: 'p' }),
        serialize.flush(),
        serialize.sync(),
        serialize.query('select 1'),
        serialize.copyDone(),
        serialize.copyFail('why'),
        serialize.end(),
      ),
    ).toEqual([
      { kind: 'describe', what: 'statement', name: 's' },
      { kind: 'describe', what: 'portal', name: '' },
      { kind: 'execute', portal: 'p', rowsMax: 7 },
      { kind: 'execute', portal: '', rowsMax: 0 },
      { kind: 'close', what: 'portal', name: 'p' },
      { kind: 'flush' },
      { kind: 'sync' },
      { kind: 'query', text: 'select 1' },
      { kind: 'copyDone' },
      { kind: 'copyFail', reason: 'why' },
      { kind: 'terminate' },
    ]);
    const [copyData] = decodeAll(serialize.copyData(Buffer.from('1\t2\n')));
    expect(copyData).toMatchObject({ kind: 'copyData' });
  });

  test('start-up', () => {
    const framer = new Framer();
    framer.push(serialize.startup({ user: 'u', database: 'd' }));
    expect(framer.next()).toBe(1);
    expect(decodeStartUp(framer.buffer, framer.start, framer.end)).toMatchObject({
      kind: 'startUp',
      user: 'u',
      database: 'd',
    });
  });
});

describe('what we send', () => {
  const column = { tableOid: 16384, columnNumber: 2, typeOid: 23, typeSize: 4, typmod: -1 };

  test('authentication', async () => {
    expect(await parseOne({ kind: 'authenticationOk' })).toMatchObject({
      name: 'authenticationOk',
    });
    const mechanisms = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'];
    expect(await parseOne({ kind: 'authenticationSasl', mechanisms })).toMatchObject({
      mechanisms,
    });
    expect(await parseOne({ kind: 'authenticationSaslContinue', data: 'r=abc' })).toMatchObject({
      name: 'authenticationSASLContinue',
      data: 'r=abc',
    });
    expect(await parseOne({ kind: 'authenticationSaslFinal', data: 'v=abc' })).toMatchObject({
      name: 'authenticationSASLFinal',
      data: 'v=abc',
    });
  });

  test('session data', async () => {
    expect(
      await parseOne({ kind: 'parameterStatus', name: 'TimeZone', value: 'Europe/Zürich' }),
    ).toMatchObject({ parameterName: 'TimeZone', parameterValue: 'Europe/Zürich' });
    expect(
      await parseOne({ kind: 'backendKeyData', processId: 12345, secretKey: -5 }),
    ).toMatchObject({ processID: 12345, secretKey: -5 });
    for (const status of ['I', 'T', 'E'] as const) {
      expect(await parseOne({ kind: 'readyForQuery', status })).toMatchObject({ status });
    }
  });

  test.each([
    [[], ['text', 'text']],
    [[1], ['binary', 'binary']],
    [
      [0, 1],
      ['text', 'binary'],
    ],
  ])('a row description with the formats %j', async (formats, expected) => {
    const columns = [
      { ...column, name: 'id' },
      { ...column, name: '' },
    ];
    const { fields } = (await parseOne({ kind: 'rowDescription', columns, formats })) as {
      fields: { name: string; format: string; tableID: number; columnID: number }[];
    };
    expect(fields.map((field) => field.format)).toEqual(expected);
    expect(fields[0]).toMatchObject({ name: 'id', tableID: 16384, columnID: 2 });
    expect(fields[1]).toMatchObject({ name: '', dataTypeID: 23, dataTypeModifier: -1 });
  });

  test('errors and notices', async () => {
    const error = await parseOne({
      kind: 'errorResponse',
      fields: [
        ['S', 'ERROR'],
        ['C', '42601'],
        ['M', 'cut at\0the zero'],
      ],
    });
    expect(error).toMatchObject({ severity: 'ERROR', code: '42601', message: 'cut at' });
    expect(await parseOne({ kind: 'noticeResponse', fields: [['M', 'hello']] })).toMatchObject({
      name: 'notice',
      message: 'hello',
    });
  });

  test('COPY', async () => {
    expect(
      await parseOne({ kind: 'copyInResponse', format: 1, columnFormats: [1, 1] }),
    ).toMatchObject({ name: 'copyInResponse', binary: true, columnTypes: [1, 1] });
    expect(
      await parseOne({ kind: 'copyOutResponse', format: 0, columnFormats: [0] }),
    ).toMatchObject({ name: 'copyOutResponse', binary: false });
    const [data, done] = await parseAll(
      Buffer.concat([encoder.copyDataHeader(2), Buffer.from('ab'), encoder.COPY_DONE]),
    );
    expect(data).toMatchObject({ name: 'copyData', chunk: Buffer.from('ab') });
    expect(done).toMatchObject({ name: 'copyDone' });
  });

  test('what has no content, tags and rows', async () => {
    const found = await parseAll(
      Buffer.concat([
        encoder.PARSE_COMPLETE,
        encoder.BIND_COMPLETE,
        encoder.CLOSE_COMPLETE,
        encoder.NO_DATA,
        encoder.PORTAL_SUSPENDED,
        encoder.EMPTY_QUERY_RESPONSE,
        encoder.commandComplete('INSERT 0 1'),
        encoder.commandComplete('INSERT 0 1'),
        encoder.encode({ kind: 'parameterDescription', oids: [23, 25] }),
        dataRow(['a', null]),
      ]),
    );
    expect(found.map((message) => message['name'])).toEqual([
      'parseComplete',
      'bindComplete',
      'closeComplete',
      'noData',
      'portalSuspended',
      'emptyQuery',
      'commandComplete',
      'commandComplete',
      'parameterDescription',
      'dataRow',
    ]);
    expect(found[6]).toMatchObject({ text: 'INSERT 0 1' });
    expect(found[8]).toMatchObject({ dataTypeIDs: [23, 25] });
    expect(found[9]).toMatchObject({ fields: ['a', null] });
  });
});
