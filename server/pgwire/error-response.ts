// Error → the fields of ErrorResponse and NoticeResponse. Pure. The one place that renders an error for a client.
//
// (1) A SqlError goes out as it is. Of anything else the client learns the kind of fault and the id of the log
//     entry, never a message, a path or a stack.

import { isSqlError, isStorageError, SqlError } from '../../ledger/error.ts';
import type { StorageFault } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ErrorField } from './message.ts';

export type Severity =
  'ERROR' | 'FATAL' | 'PANIC' | 'WARNING' | 'NOTICE' | 'DEBUG' | 'INFO' | 'LOG';

const STORAGE_FAULTS: Readonly<Record<StorageFault, readonly [sqlstate: string, message: string]>> =
  {
    damaged: [SQLSTATE.dataCorrupted, 'data of this node is damaged'],
    foreign: [SQLSTATE.dataCorrupted, 'data of this node is not its own'],
    locked: [SQLSTATE.ioError, 'data of this node is in use'],
    full: [SQLSTATE.diskFull, 'no space left on device'],
    io: [SQLSTATE.ioError, 'could not read or write data of this node'],
  };

/** The error that a client may see. `logId` names the entry under which the whole of it was logged. */
export function presentable(error: unknown, logId: string): SqlError {
  if (isSqlError(error)) return error;
  const detail = `The log of the node has more under ${logId}.`;
  if (isStorageError(error)) {
    const [sqlstate, message] = STORAGE_FAULTS[error.fault];
    return new SqlError(sqlstate, message, { detail });
  }
  return new SqlError(SQLSTATE.internalError, 'internal error', { detail });
}

/** Fields in PostgreSQL's order. */
export function errorFields(severity: Severity, error: SqlError): ErrorField[] {
  const { fields } = error;
  const list: ErrorField[] = [
    ['S', severity],
    ['V', severity],
    ['C', error.sqlstate],
    ['M', error.message],
  ];
  const add = (type: string, text: string | undefined): void => {
    if (text !== undefined) list.push([type, text]);
  };
  add('D', fields.detail);
  add('H', fields.hint);
  add('P', fields.position?.toString());
  add('W', fields.where);
  add('s', fields.schema);
  add('t', fields.table);
  add('c', fields.column);
  add('d', fields.dataType);
  add('n', fields.constraint);
  return list;
}
