// `trustsql inspect`: prints a block or a transaction from the files, or a row's history from a node. Shell.
//
// Blocks and transactions are read from the data directory, whether a node runs on it or not.

import { fromHex, tryFromHex } from '../ledger/bytes.ts';
import { decodeBody, decodeHeader, decodeTransaction } from '../ledger/encoding.ts';
import { decodeCertificate } from '../ledger/encoding-vote.ts';
import { headerHash } from '../ledger/hash.ts';
import { STAMP_POSITIONS } from '../ledger/operation.ts';
import { BlockStore } from '../storage/block-store.ts';
import { stampOfId } from '../storage/chain-index.ts';
import { readDataDirectory } from '../storage/data-directory.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { StateReader } from '../storage/snapshot.ts';
import { connect } from './connect.ts';
import { CommandError, EXIT } from './exit.ts';
import { jsonText } from './json.ts';
import { formatTable } from './table.ts';

const ID_BYTES = 32;
const NO_BODY = { bundles: [], system: [] };

/** Prints block `height`, or the newest for `tip`, as JSON. */
export function inspectBlock(height: string, data: string): void {
  withBlocks(data, (blocks) => {
    const wanted = height === 'tip' ? blocks.tip : Number(height);
    print(describeBlock(blocks, wanted));
  });
}

/** Prints the transaction with `id` (hexadecimal) as JSON. */
export function inspectTransaction(id: string, data: string): void {
  if (tryFromHex(id)?.length !== ID_BYTES) {
    throw new CommandError(EXIT.usage, 'a transaction id has 64 hexadecimal digits');
  }
  withBlocks(data, (blocks) => {
    const stamp = stampOf(data, id);
    const height = Number(stamp / STAMP_POSITIONS);
    const position = Number(stamp % STAMP_POSITIONS);
    const stored = readBlock(blocks, height);
    const found = decodeBody(stored.body)
      .bundles.flatMap((bundle) => bundle.transactions.map((bytes) => ({ bundle, bytes })))
      .at(position);
    if (found === undefined) {
      const place = `block ${height} has no transaction ${position}`;
      throw new CommandError(EXIT.negative, `the index is wrong: ${place}; run trustsql verify`);
    }
    const { text, ...transaction } = decodeTransaction(found.bytes);
    const statement = text === null ? null : new TextDecoder().decode(text.value);
    const { publicKey, signature } = found.bundle;
    print({ id, height, position, statement, publicKey, signature, ...transaction });
  });
}

/** Prints every version of the row with primary key `key`, oldest first. */
export async function inspectRow(
  table: string,
  key: readonly string[],
  options: { readonly data: string; readonly url?: string; readonly json?: boolean },
): Promise<void> {
  const onNotice = (): void => undefined;
  const connection = await connect({ url: options.url, data: options.data, onNotice });
  try {
    const [found] = await connection.query(PRIMARY_KEY, [table]);
    const columns = found!.rows.map(([column]) => column!);
    const history = found!.rows[0]?.[1];
    if (history === undefined || columns.length !== key.length) {
      const needs = columns.length === 0 ? 'no primary key' : `the key (${columns.join(', ')})`;
      throw new CommandError(EXIT.usage, `table ${table} has ${needs}`);
    }
    const where = columns.map((column, index) => `${column} = $${index + 1}`).join(' AND ');
    const text = `SELECT * FROM ${history} WHERE ${where} ORDER BY _valid_from`;
    const [versions] = await connection.query(text, key);
    const { fields, rows } = versions!;
    if (options.json === true) {
      print(rows.map((row) => Object.fromEntries(fields.map(({ name }, i) => [name, row[i]]))));
    } else {
      const shown = fields.map(({ name }) => ({ name, rightAligned: false }));
      process.stdout.write(`${formatTable({ columns: shown, rows })}\n`);
    }
    if (rows.length === 0) throw new CommandError(EXIT.negative, 'there never was such a row');
  } finally {
    await connection.close();
  }
}

/** Names of the key columns in order, and of the table's history, quoted as needed. */
const PRIMARY_KEY = `
  SELECT quote_ident(a.attname), 'history.' || quote_ident(c.relname)
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
  WHERE i.indisprimary AND i.indrelid = $1::regclass
  ORDER BY array_position(i.indkey::int2[], a.attnum)`;

function withBlocks(data: string, work: (blocks: BlockStore) => void): void {
  readDataDirectory(data);
  const blocks = new BlockStore(data, { readonly: true });
  try {
    work(blocks);
  } finally {
    blocks.close();
  }
}

function readBlock(
  blocks: BlockStore,
  height: number,
): NonNullable<ReturnType<BlockStore['read']>> {
  const stored = Number.isSafeInteger(height) && height >= 0 ? blocks.read(height) : null;
  if (stored !== null) return stored;
  throw new CommandError(EXIT.negative, `there is no such block; the newest is ${blocks.tip}`);
}

function describeBlock(blocks: BlockStore, height: number): unknown {
  const stored = readBlock(blocks, height);
  const header = decodeHeader(stored.header);
  // The body of block 0 is the genesis record, not a list of bundles.
  const { bundles, system } = height === 0 ? NO_BODY : decodeBody(stored.body);
  return {
    file: blocks.fileOf(height),
    hash: headerHash(nativeCrypto, stored.header),
    time: new Date(header.timeMs).toISOString(),
    header,
    certificate: decodeCertificate(stored.certificate),
    bundles: bundles.map(({ transactions, ...bundle }) => ({
      ...bundle,
      transactions: transactions.map((bytes) => decodeTransaction(bytes)),
    })),
    system,
  };
}

function stampOf(data: string, id: string): bigint {
  const reader = StateReader.open(data);
  try {
    const stamp = stampOfId(reader.database, fromHex(id));
    if (stamp !== null) return stamp;
  } finally {
    reader.close();
  }
  throw new CommandError(EXIT.negative, 'there is no such transaction');
}

function print(value: unknown): void {
  process.stdout.write(jsonText(value));
}
