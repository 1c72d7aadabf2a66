// A client that sends what a test tells it, message by message, and hears everything. It logs in by itself.

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { parse, serialize } from 'pg-protocol';

export interface Heard {
  readonly name: string;
  readonly [field: string]: unknown;
}

export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  #heard: Heard[] = [];
  #wake: () => void = () => {};
  #over = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#over = true;
        this.#wake();
        resolve();
      });
    });
    void parse(socket, (message) => {
      this.#heard.push(message as unknown as Heard);
      this.#wake();
    });
  }

  /** Logs in as alice, and hears everything up to the first ReadyForQuery. */
  static login(port: number): Promise<RawClient> {
    return RawClient.open(new URL(`postgresql://alice:secret@127.0.0.1:${port}/d`));
  }

  /** Logs in where and as whom the URL says, in the clear. */
  static async open(url: URL): Promise<RawClient> {
    const client = new RawClient(connect(Number(url.port), url.hostname));
    const user = decodeURIComponent(url.username);
    client.send(serialize.startup({ user, database: url.pathname.slice(1) }));
    const heard = await client.until('authenticationSASL', 'authenticationOk', 'error');
    if (heard.at(-1)!.name === 'authenticationSASL') {
      await client.prove(decodeURIComponent(url.password));
    }
    await client.until('readyForQuery');
    return client;
  }

  async authenticate(password: string): Promise<void> {
    await this.until('authenticationSASL');
    await this.prove(password);
  }

  /** The client's side of SCRAM, after it was asked. */
  async prove(password: string): Promise<void> {
    const bare = 'n=,r=rOprNGfwEbeRWgbNEkqO';
    this.send(serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', `n,,${bare}`));
    const heard = await this.until('authenticationSASLContinue');
    const challenge = String(heard.at(-1)!['data']);
    const fields = Object.fromEntries(
      challenge.split(',').map((field) => [field[0]!, field.slice(2)]),
    );
    const salt = Buffer.from(fields['s']!, 'base64');
    const salted = pbkdf2Sync(password, salt, Number(fields['i']), 32, 'sha256');
    const key = createHmac('sha256', salted).update('Client Key').digest();
    const stored = createHash('sha256').update(key).digest();
    const withoutProof = `c=biws,r=${fields['r']}`;
    const text = `${bare},${challenge},${withoutProof}`;
    const signature = createHmac('sha256', stored).update(text).digest();
    const proof = Buffer.from(key.map((byte, index) => byte ^ signature[index]!));
    const final = `${withoutProof},p=${proof.toString('base64')}`;
    this.send(serialize.sendSCRAMClientFinalMessage(final));
  }

  /** Sends messages in one write. */
  send(...messages: Uint8Array[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  /** Everything heard up to and with the next message of one of the names; up to the end if the connection closes. */
  async until(...names: readonly string[]): Promise<Heard[]> {
    for (;;) {
      const index = this.#heard.findIndex(({ name }) => names.includes(name));
      if (index >= 0) return this.#heard.splice(0, index + 1);
      if (this.#over) return this.#heard.splice(0);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The same, as words: names, with the tag, the texts of a row, the SQLSTATE or the status. */
  async hear(name = 'readyForQuery'): Promise<string[]> {
    return (await this.until(name)).map(wordsOf);
  }
}

function wordsOf(message: Heard): string {
  switch (message.name) {
    case 'commandComplete':
      return `tag ${String(message['text'])}`;
    case 'dataRow':
      return `row ${(message['fields'] as unknown[]).join(' ')}`;
    case 'error':
      return `${String(message['severity'])} ${String(message['code'])}`;
    case 'readyForQuery':
      return `ready ${String(message['status'])}`;
    case 'parameterStatus':
      return `${String(message['parameterName'])}=${String(message['parameterValue'])}`;
    default:
      return message.name;
  }
}
