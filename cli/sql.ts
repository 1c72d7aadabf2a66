// `trustsql sql`: runs statements against a node and prints what they answer. Shell.

import { readFileSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import { connect } from './connect.ts';
import type { Answer } from './connect.ts';
import { CommandError, EXIT } from './exit.ts';
import { jsonText } from './json.ts';
import { formatTable } from './table.ts';

export interface SqlOptions {
  readonly data: string;
  readonly url?: string;
  readonly file?: string;
  readonly json?: boolean;
}

/** Types that psql aligns to the right: numbers, oid, money. */
const RIGHT_ALIGNED = new Set([20, 21, 23, 26, 28, 700, 701, 790, 1700]);

/** Runs `statement`, else the file, else standard input. Several statements are one transaction. */
export async function runSql(statement: string | undefined, options: SqlOptions): Promise<void> {
  const text = statement ?? (await readStatements(options.file));
  const onNotice = (notice: string): void => void process.stderr.write(`${notice}\n`);
  const connection = await connect({ url: options.url, data: options.data, onNotice });
  try {
    const answers = await connection.query(text);
    process.stdout.write(options.json === true ? jsonOf(answers) : answers.map(textOf).join(''));
  } finally {
    await connection.close();
  }
}

async function readStatements(file: string | undefined): Promise<string> {
  if (file !== undefined && file !== '-') return readFileSync(file, 'utf8');
  if (file === undefined && process.stdin.isTTY) {
    throw new CommandError(EXIT.usage, 'give a statement, --file, or statements on standard input');
  }
  return readAll(process.stdin);
}

/** An array with one object for each statement; values are the node's texts, or null. */
function jsonOf(answers: readonly Answer[]): string {
  return jsonText(answers.map(({ tag, fields, rows }) => ({ tag, columns: fields, rows })));
}

function textOf({ tag, fields, rows }: Answer): string {
  if (fields.length === 0 && rows.length === 0) return tag === '' ? '' : `${tag}\n`;
  const columns = fields.map(({ name, oid }) => ({ name, rightAligned: RIGHT_ALIGNED.has(oid) }));
  return `${formatTable({ columns, rows })}\n\n`;
}
