// What a consensus that has stopped answers. Pure.

import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';

/** 57P03, or that of a halted ledger after a failure. */
export function stoppedError(failed: boolean): SqlError {
  return failed
    ? new SqlError(SQLSTATE.ledgerHalted, 'the ledger has stopped because its storage failed')
    : new SqlError(SQLSTATE.cannotConnectNow, 'the node is shutting down');
}
