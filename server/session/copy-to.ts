// COPY TO STDOUT: the rows of a query in another frame. Shell.
//
// One CopyData message a row, as Postgres sends them: PQgetCopyData gives clients a row at a time.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { CopyOptions } from '../../sql/copy/options.ts';
import { CopyWriter, messageEnd } from '../../sql/copy/row-writer.ts';
import type { ResultSink } from '../pgwire/backend.ts';
import { execute } from './execute.ts';
import type { Outcome } from './execute.ts';
import type { Prepared } from './plan.ts';
import type { Session } from './session.ts';

/** Bytes of a DataRow before its fields: type and length. */
const HEAD_BYTES = 5;

export function copyTo(session: Session, prepared: Prepared, options: CopyOptions): Outcome {
  return { kind: 'talk', run: (sink) => send(session, prepared, options, sink) };
}

async function send(
  session: Session,
  prepared: Prepared,
  options: CopyOptions,
  sink: ResultSink,
): Promise<string> {
  const columns = prepared.columns!.map(({ name }) => name);
  const format = options.format === 'binary' ? 1 : 0;
  const formats = columns.map(() => format);
  const outcome = await execute(session, prepared, [], formats, sink);
  if (outcome.kind !== 'rows') {
    throw new SqlError(SQLSTATE.featureNotSupported, 'COPY query must have a RETURNING clause');
  }
  const writer = new CopyWriter(options, columns);
  const { source } = outcome;
  const { stop } = session.context;
  let count = 0;
  try {
    // An error in the first rows comes instead of the answer, not inside it.
    let batch = await source.read(0);
    sink.copyOut(format, formats);
    if (options.header !== false) sink.copyData(writer.header(columns));
    for (;;) {
      // The next rows are made while these are sent.
      const next = batch.done ? null : Promise.resolve(source.read(0));
      next?.catch(() => undefined);
      count += batch.count;
      const { bytes } = batch;
      let keepsUp = true;
      for (let at = 0; at < bytes.length;) {
        const end = messageEnd(bytes, at);
        keepsUp = sink.copyData(writer.row(bytes, at + HEAD_BYTES, end));
        at = end;
      }
      if (!keepsUp) await sink.drained();
      stop.check();
      if (next === null) break;
      batch = await next;
    }
  } finally {
    source.close();
  }
  if (format === 1) sink.copyData(writer.trailer());
  sink.copyDone();
  return `COPY ${count}`;
}
