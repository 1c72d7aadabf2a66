// A reader: a child process that runs queries on read-only connections and sends their rows. Shell.
//
// It is killed whenever a query must stop, so it holds nothing but caches. Between two batches it waits for
// the main thread to ask for more: that is the back-pressure.

import { isSqlError, isStorageError } from '../../ledger/error.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Row } from '../../ledger/type.ts';
import { registerFunctions } from '../../sql/functions/register.ts';
import { dataRowEncoder } from '../../sql/value/data-row.ts';
import { StateReader } from '../../storage/snapshot.ts';
import type { FromReader, Run, ToReader } from './messages.ts';
import { QueryRunner } from './query-runner.ts';
import { statementTexts } from './statement-texts.ts';
import { EMPTY_CATALOG } from '../../ledger/catalog.ts';
import type { Catalog } from '../../ledger/catalog.ts';
import type { SessionFunctions } from '../../sql/functions/function.ts';
import { DEFAULT_CONTEXT } from '../../sql/value/context.ts';
import type { ValueContext } from '../../sql/value/context.ts';
import { enumLabels } from './enum-labels.ts';
import { epochList } from './epoch-list.ts';

/** A batch ends when its DataRows or values exceed this. */
const BATCH_BYTES = 64 * 1024;
const BATCH_VALUES = 2_000;
/** A batch that goes on for longer ends with the row at hand: somebody may wait for just that one. */
const BATCH_MS = 50;
/** Rows between two looks at the size of the batch. */
const STRIDE = 16;

const [dataDirectory] = process.argv.slice(2) as [string];
const { database } = StateReader.open(dataDirectory);
let catalog: Catalog = EMPTY_CATALOG;
let values: ValueContext = DEFAULT_CONTEXT;
const session: SessionFunctions = {
  get values() {
    return values;
  },
  get catalog() {
    return catalog;
  },
  call(symbol) {
    throw new SqlError(SQLSTATE.internalError, `${symbol} was sent to a reader`);
  },
  statementText: statementTexts(dataDirectory),
  epochs: epochList(dataDirectory),
};
registerFunctions(database, session);
const runner = new QueryRunner(database);

let current: { readonly run: Run; rows: IterableIterator<Row> | null } | null = null;

function send(message: FromReader): void {
  process.send!(message);
}

function more(rowsMax: number): FromReader {
  if (current === null) throw new Error('no query is open');
  const { run } = current;
  current.rows ??= start(run);
  const { rows } = current;
  if (run.columns === null) {
    const values: Row[] = [];
    while (values.length < BATCH_VALUES) {
      const next = rows.next();
      if (next.done === true) return { kind: 'values', rows: values, done: true };
      values.push(next.value);
    }
    return { kind: 'values', rows: values, done: false };
  }
  const encoder = dataRowEncoder(run.columns, values);
  const until = performance.now() + BATCH_MS;
  let count = 0;
  let done = false;
  while (rowsMax === 0 || count < rowsMax) {
    const next = rows.next();
    if (next.done === true) {
      done = true;
      break;
    }
    encoder.append(next.value);
    count += 1;
    if (rowsMax !== 0) continue;
    if (performance.now() > until || (count % STRIDE === 0 && encoder.size > BATCH_BYTES)) break;
  }
  return { kind: 'rows', bytes: encoder.take(), count, done };
}

function start(run: Run): IterableIterator<Row> {
  values = { ...run.session, enumLabels: (id) => enumLabels(catalog, id) };
  return runner.iterate(run.request);
}

function close(): void {
  current?.rows?.return?.();
  current = null;
}

function failure(error: unknown): FromReader {
  if (isSqlError(error)) {
    return {
      kind: 'error',
      sqlstate: error.sqlstate,
      message: error.message,
      fields: error.fields,
    };
  }
  const message = Error.isError(error) ? error.message : String(error);
  const { code } = error as { code?: unknown };
  if (code === 'SQLITE_NOMEM') {
    return {
      kind: 'error',
      sqlstate: SQLSTATE.outOfMemory,
      message: 'out of memory',
      fields: { detail: 'The system has no more memory.' },
    };
  }
  if (code === 'SQLITE_TOOBIG') {
    const detail = 'A value would be longer than 1000000000 bytes.';
    const sqlstate = SQLSTATE.programLimitExceeded;
    return { kind: 'error', sqlstate, message: 'out of memory', fields: { detail } };
  }
  const sqlstate = isStorageError(error) ? SQLSTATE.ioError : SQLSTATE.internalError;
  return { kind: 'error', sqlstate, message: `query failed in a reader: ${message}`, fields: {} };
}

process.on('message', (message: ToReader) => {
  if (message.kind === 'catalog') {
    catalog = message.catalog;
    runner.clear();
    return;
  }
  if (message.kind === 'run') {
    close();
    current = { run: message, rows: null };
    return;
  }
  if (message.kind === 'close') return close();
  try {
    const answer = more(message.rowsMax);
    if (answer.kind !== 'error' && answer.kind !== 'ready' && answer.done) close();
    send(answer);
  } catch (error) {
    close();
    send(failure(error));
  }
});
process.on('disconnect', () => process.exit(0));
send({ kind: 'ready' });
