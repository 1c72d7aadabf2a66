// `trustsql proof`: takes a proof of a row from a node, and checks one without any node. Shell.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hex, tryFromHex } from '../ledger/bytes.ts';
import { HASH_BYTES, PUBLIC_KEY_BYTES } from '../ledger/crypto.ts';
import { isFormatError } from '../ledger/error.ts';
import { checkProof } from '../ledger/proof-check.ts';
import type { Verdict } from '../ledger/proof-check.ts';
import { parseProof } from '../ledger/proof-json.ts';
import type { RowProof } from '../ledger/proof.ts';
import type { Datum, SqlType } from '../ledger/type.ts';
import { DEFAULT_CONTEXT } from '../sql/value/context.ts';
import { formatText } from '../sql/value/text.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { connect } from './connect.ts';
import { CommandError, EXIT, hexOf } from './exit.ts';
import { jsonText } from './json.ts';

export interface ExportOptions {
  readonly data: string;
  readonly url?: string;
  /** File to write; standard output when absent. */
  readonly out?: string;
}

/** Writes the bundle that proves the row of `table` with primary key `key`. */
export async function exportProof(
  table: string,
  key: readonly string[],
  options: ExportOptions,
): Promise<void> {
  const onNotice = (): void => undefined;
  const connection = await connect({ url: options.url, data: options.data, onNotice });
  const places = key.map((_, index) => `$${index + 2}`);
  const text = `SELECT ledger.proof(${['$1', ...places].join(', ')})`;
  try {
    const [answer] = await connection.query(text, [table, ...key]);
    const bundle = answer!.rows[0]?.[0];
    if (bundle === undefined || bundle === null) {
      throw new CommandError(EXIT.negative, 'there is no such row');
    }
    if (options.out === undefined) process.stdout.write(`${bundle}\n`);
    else writeFileSync(options.out, `${bundle}\n`);
  } finally {
    await connection.close();
  }
}

export interface CheckOptions {
  /** Each 64 hexadecimal digits, or a file that holds them. */
  readonly nodeKey?: readonly string[];
  readonly chainId?: string;
  readonly digest?: string;
  readonly json?: boolean;
}

/** @throws CommandError 1 when the bundle proves nothing, after the reason was printed */
export function runCheckProof(file: string, options: CheckOptions): void {
  const { nodeKey = [], chainId } = options;
  if (nodeKey.length === 0 && chainId === undefined) {
    const message = 'what is trusted must be said: --chain-id, or --node-key for each node';
    throw new CommandError(EXIT.usage, message);
  }
  const verdict = checkProof(nativeCrypto, readBundle(file), {
    nodeKeys: nodeKey.map(nodeKeyOf),
    ...(chainId === undefined ? {} : { chainId: hexOf('--chain-id', chainId, HASH_BYTES) }),
    ...(options.digest === undefined ? {} : { checkpoint: readFileSync(options.digest, 'utf8') }),
  });
  process.stdout.write(options.json === true ? jsonText(verdict) : verdictText(verdict));
  if (!verdict.valid) throw new CommandError(EXIT.negative, `${file} proves nothing`);
}

function readBundle(file: string): RowProof {
  try {
    return parseProof(readFileSync(file, 'utf8'));
  } catch (error) {
    if (!isFormatError(error)) throw error;
    throw new CommandError(EXIT.negative, `${file} is no proof: ${error.message}`);
  }
}

function nodeKeyOf(given: string): Uint8Array {
  const text = existsSync(given) ? readFileSync(given, 'utf8').trim() : given;
  const key = tryFromHex(text);
  if (key?.length === PUBLIC_KEY_BYTES) return key;
  throw new CommandError(
    EXIT.usage,
    `--node-key: ${given} is neither 64 hexadecimal digits nor a file of them`,
  );
}

function verdictText(verdict: Verdict): string {
  if (!verdict.valid) return `NOT PROVEN (${verdict.step}): ${verdict.message}\n`;
  const { row, transaction, anchor } = verdict;
  const columns = row.columns.map(
    ({ id, name, type, value }) => `  ${name ?? `column ${id}`} = ${shown(value, type)}\n`,
  );
  const who = transaction.authorName ?? `role ${transaction.author}`;
  const custody = transaction.custody === null ? '' : ` (key held: ${transaction.custody})`;
  return [
    `PROVEN: ${row.table ?? `table ${row.relation}`}, row ${row.rowId}${row.deleted ? ', deleted' : ''}\n`,
    ...columns,
    `written by ${who}${custody}\n`,
    `  in transaction ${hex(transaction.id)}\n`,
    `  in block ${transaction.height}, ${new Date(transaction.timeMs).toISOString()}\n`,
    ...(transaction.text === null ? [] : [`  ${transaction.text}\n`]),
    `under block ${anchor.height}, signed by ${anchor.signers.map(hex).join(', ')}\n`,
    ...verdict.steps.map(({ step, detail }) => `  ${step}: ${detail}\n`),
  ].join('');
}

/** A value as psql shows it; as it lies in the ledger when the bundle leaves its type out. */
function shown(value: Datum, type: SqlType | null): string {
  if (value === null) return 'NULL';
  if (type !== null) return formatText(value, type, DEFAULT_CONTEXT);
  if (ArrayBuffer.isView(value)) return `\\x${hex(value as Uint8Array)}`;
  return typeof value === 'object' ? jsonText(value).trimEnd() : String(value);
}
