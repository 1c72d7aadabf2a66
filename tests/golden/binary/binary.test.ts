// Every base type over the extended protocol, in text and in binary, both ways, byte for byte. Shell.
//
// types.golden holds for each value its text, its binary form and the text that comes back; PostgreSQL 15 wrote
// it. For each line: text in gives that binary, text in gives that text, and binary in gives that text.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { serve } from '../../end-to-end/setting.ts';

const FILE = path.join(import.meta.dirname, 'types.golden');
const TIMEOUT_MS = 60_000;

interface Line {
  readonly type: string;
  readonly input: string;
  readonly binary: string;
  readonly output: string;
}

const TEXT = readFileSync(FILE, 'utf8');
const LINES: readonly Line[] = TEXT.split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [type = '', input = '', binary = '', output = ''] = line.split(/ ?\| ?/);
    return { type, input, binary, output };
  });

interface Wire {
  readonly stream: { on(event: 'data', listener: (chunk: Buffer) => void): void };
  parse(statement: { text: string }, more: boolean): void;
  bind(portal: { values: readonly (string | Buffer)[]; binary: boolean }, more: boolean): void;
  execute(portal: object, more: boolean): void;
  sync(): void;
}

/** One connection whose DataRow messages are read from the socket: pg decodes every value as UTF-8. */
class RawConnection {
  readonly #client: pg.Client;
  #pending = Buffer.alloc(0);
  #value: Buffer | undefined;

  constructor(url: string) {
    this.#client = new pg.Client({ connectionString: url, options: '-c TimeZone=UTC' });
  }

  async open(): Promise<void> {
    await this.#client.connect();
    const { connection } = this.#client as unknown as { connection: Wire };
    connection.stream.on('data', (chunk) => this.#read(chunk));
  }

  /** The only value of `SELECT $1::type`. */
  async value(type: string, given: string | Buffer, binary: boolean): Promise<Buffer> {
    this.#value = undefined;
    await new Promise<void>((resolve, reject) => {
      const exchange = {
        submit: (wire: Wire): void => {
          wire.parse({ text: `SELECT $1::${type}` }, true);
          wire.bind({ values: [given], binary }, true);
          wire.execute({}, true);
          wire.sync();
        },
        handleDataRow: (): void => undefined,
        handleCommandComplete: (): void => undefined,
        handleError: reject,
        handleReadyForQuery: resolve,
      };
      this.#client.query(exchange as unknown as pg.Submittable);
    });
    if (this.#value === undefined) throw new Error('no row');
    return this.#value;
  }

  /** Cuts messages and keeps the first value of each DataRow: 'D', length, count, length, bytes. */
  #read(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length > 5) {
      const length = 1 + this.#pending.readInt32BE(1);
      if (this.#pending.length < length) return;
      if (this.#pending[0] === 'D'.charCodeAt(0)) this.#value = this.#pending.subarray(11, length);
      this.#pending = this.#pending.subarray(length);
    }
  }

  close(): Promise<void> {
    return this.#client.end();
  }
}

async function ask(connection: RawConnection, { type, input }: Line): Promise<Line> {
  const binary = await connection.value(type, input, true);
  const output = await connection.value(type, input, false);
  const back = await connection.value(type, binary, false);
  // Binary in must mean the same as text in; what differs is shown instead of the text.
  const same = back.equals(output) ? '' : ` (binary in gives ${back.toString()})`;
  return { type, input, binary: binary.toString('hex'), output: `${output.toString()}${same}` };
}

function print({ type, input, binary, output }: Line): string {
  return `${type} | ${input} | ${binary} | ${output}`.trimEnd();
}

async function askAll(url: string): Promise<string[]> {
  const connection = new RawConnection(url);
  await connection.open();
  const answers: string[] = [];
  for (const line of LINES) {
    const answer = await ask(connection, line).catch((error: pg.DatabaseError) => {
      return { ...line, binary: '', output: `${error.code}: ${error.message}` };
    });
    answers.push(print(answer));
  }
  await connection.close();
  return answers;
}

/** What TrustSQL answers where it differs, by type and input. */
const OWN: ReadonlyMap<string, string> = new Map([
  // Blanks at the end of character values are not stored, and without a length none are put back.
  ['bpchar ab ', 'bpchar | ab  | 6162 | ab'],
  // Arrays begin at 1.
  [
    'int4[] [2:3]={7,8}',
    'int4[] | [2:3]={7,8} |  | 0A000: array lower bounds other than 1 are not supported',
  ],
]);

describe('types on the wire', () => {
  const server = serve();

  test('are those of PostgreSQL 15, in text and in binary, in and out', async () => {
    const expected = LINES.map((line) => OWN.get(`${line.type} ${line.input}`) ?? print(line));
    expect(await askAll(server.url())).toEqual(expected);
  }, TIMEOUT_MS);
});

const reference = process.env['PGTEST_URL'];
if (reference !== undefined) {
  describe('PostgreSQL', () => {
    let answers: string[] = [];
    beforeAll(async () => {
      answers = await askAll(reference);
    }, TIMEOUT_MS);
    afterAll(() => {
      if (process.env['REWRITE'] === undefined) return;
      const head = TEXT.slice(0, TEXT.indexOf('\n\n') + 2);
      writeFileSync(FILE, `${head}${answers.join('\n')}\n`);
    });
    test('answers as the file says', () => {
      if (process.env['REWRITE'] === undefined) expect(answers).toEqual(LINES.map(print));
    });
  });
}
