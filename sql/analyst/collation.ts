// Which collations there are: those that sort by bytes. Pure.
//
// The embedded Postgres lists more, whose locales it has not got: it sorts by bytes under any name. DDL that the
// chain holds is not asked; what it names stays what it was.

import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { SqlError } from '../../ledger/error.ts';
import { collationsOf } from '../parse.ts';

/** Every one of them sorts by bytes in Postgres, too. */
export const COLLATIONS = ['default', 'C', 'POSIX', 'ucs_basic', 'C.utf8'] as const;

/** @throws SqlError 42704 for the first collation that a statement names and that is none of ours */
export function refuseCollations(text: string): void {
  const known: readonly string[] = COLLATIONS;
  const unknown = collationsOf(text).find(
    ({ name }) => !known.includes(name.replace(/^pg_catalog\./, '')),
  );
  if (unknown === undefined) return;
  const { name, position } = unknown;
  throw new SqlError(
    SQLSTATE.undefinedObject,
    `collation "${name}" for encoding "UTF8" does not exist`,
    position === undefined ? {} : { position },
  );
}
