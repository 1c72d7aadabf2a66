// The log of what processes did to the files of a directory, as record.c writes it. Pure but for `Marker`.

import { closeSync, openSync, writeSync } from 'node:fs';

const KINDS = [
  ...['create', 'write', 'truncate', 'sync begins', 'sync', 'rename', 'unlink', 'mkdir'],
  ...['rmdir', 'link', 'unknown', 'mark'],
] as const;

export interface LogRecord {
  readonly kind: (typeof KINDS)[number];
  /** Of the file; 0 where only its path counts. */
  readonly inode: bigint;
  /** Of a write; the new length of a truncated file. */
  readonly offset: number;
  readonly thread: number;
  readonly path: string;
  /** Of a write; the new path of a rename or link; the text of a mark; the call that is unknown. */
  readonly data: Buffer;
}

/** Bytes of a record before its path: struct head of record.c. */
const HEAD_BYTES = 32;

/** A record that was cut off at the end, when its process was killed, is left out. */
export function decodeLog(bytes: Buffer): LogRecord[] {
  const records: LogRecord[] = [];
  for (let at = 0; at + HEAD_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    if (at + length > bytes.length) break;
    const kind = KINDS[bytes.readUInt32LE(at + 4) - 1];
    if (kind === undefined || length < HEAD_BYTES) throw new Error(`no record at byte ${at}`);
    const data = at + HEAD_BYTES + bytes.readUInt32LE(at + 28);
    records.push({
      kind,
      inode: bytes.readBigUInt64LE(at + 8),
      offset: Number(bytes.readBigInt64LE(at + 16)),
      thread: bytes.readUInt32LE(at + 24),
      path: bytes.toString('utf8', at + HEAD_BYTES, data),
      data: bytes.subarray(data, at + length),
    });
    at += length;
  }
  return records;
}

/** Appends marks of this process to the log, each behind all that had been recorded when it knew what it says. */
export class Marker {
  readonly #file: number;

  constructor(log: string) {
    this.#file = openSync(log, 'a');
  }

  mark(content: unknown): void {
    const data = Buffer.from(JSON.stringify(content));
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(HEAD_BYTES + data.length, 0);
    head.writeUInt32LE(KINDS.indexOf('mark') + 1, 4);
    writeSync(this.#file, Buffer.concat([head, data]));
  }

  close(): void {
    closeSync(this.#file);
  }
}
