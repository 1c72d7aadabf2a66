// Time zones by name. Pure, but for the zone tables of the run time.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { tryTimeZone } from '../value/time-zone.ts';
import type { ZoneOffset } from '../../ledger/datetime.ts';

/** @throws SqlError 22023 for a name that is not known */
export function parseZone(name: string): ZoneOffset {
  const zone = tryTimeZone(name);
  if (zone === undefined) {
    throw new SqlError(SQLSTATE.invalidParameterValue, `time zone "${name}" not recognized`);
  }
  return zone.offset;
}
