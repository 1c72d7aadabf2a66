// What the views of schema ledger read out of encoded headers and receipts. Pure, but for what the session
// looks up: role names, statement texts and epochs.

import { equal } from '../../ledger/bytes.ts';
import type { Header } from '../../ledger/block.ts';
import { decodeHeader, decodeReceipt } from '../../ledger/encoding.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Receipt } from '../../ledger/transaction.ts';
import type { Datum } from '../../ledger/type.ts';
import type { Epoch } from '../../storage/epochs.ts';
import { configRows, evidenceRows } from './epoch-rows.ts';
import type { FunctionTable, SessionFunctions } from './function.ts';

/** The last thing decoded: a view asks one row for many fields. */
function remembering<T>(decode: (bytes: Uint8Array) => T): (bytes: Uint8Array) => T {
  let last: { readonly bytes: Uint8Array; readonly value: T } | null = null;
  return (bytes) => {
    if (last === null || !equal(last.bytes, bytes)) {
      const copy = new Uint8Array(bytes);
      last = { bytes: copy, value: decode(copy) };
    }
    return last.value;
  };
}

const header = remembering(decodeHeader);
const receipt = remembering(decodeReceipt);

const HEADER_FIELDS: Readonly<Record<string, (header: Header) => Datum>> = {
  chain_id: ({ chainId }) => chainId,
  parent: ({ parent }) => parent,
  transactions_root: ({ transactionsRoot }) => transactionsRoot,
  executed_height: ({ executed }) => BigInt(executed.height),
  receipts_root: ({ executed }) => executed.receiptsRoot,
  history_root: ({ historyRoot }) => historyRoot,
  proposer: ({ proposer }) => proposer,
};

const sum = ({ counts }: Receipt, what: 'inserted' | 'updated' | 'deleted'): bigint =>
  counts.reduce((total, count) => total + BigInt(count[what]), 0n);

const RECEIPT_FIELDS: Readonly<Record<string, (receipt: Receipt) => Datum>> = {
  message: ({ abort }) => abort?.message ?? null,
  inserted: (value) => sum(value, 'inserted'),
  updated: (value) => sum(value, 'updated'),
  deleted: (value) => sum(value, 'deleted'),
  versions: ({ versionCount }) => BigInt(versionCount),
  versions_root: ({ versionsRoot }) => versionsRoot,
};

function roleName(id: Datum, session: SessionFunctions): string {
  return session.catalog.roles.get(Number(id))?.name ?? `role ${id} (dropped)`;
}

function statementText(stamp: Datum, session: SessionFunctions): string | null {
  if (session.statementText !== undefined) return session.statementText(stamp as bigint);
  throw new SqlError(SQLSTATE.internalError, 'statement texts cannot be read here');
}

function epochsOf(height: Datum, session: SessionFunctions): readonly Epoch[] {
  if (session.epochs !== undefined) return session.epochs(Number(height));
  throw new SqlError(SQLSTATE.internalError, 'epochs cannot be read here');
}

export const LEDGER_VIEW: FunctionTable = {
  header_field: {
    impl: ([bytes, field]) => HEADER_FIELDS[field as string]!(header(bytes as Uint8Array)),
  },
  receipt_field: {
    impl: ([bytes, field]) => RECEIPT_FIELDS[field as string]!(receipt(bytes as Uint8Array)),
  },
  config_rows: {
    volatile: true,
    impl: ([height], session) => JSON.stringify(configRows(epochsOf(height!, session))),
  },
  evidence_rows: {
    volatile: true,
    impl: ([height], session) => JSON.stringify(evidenceRows(epochsOf(height!, session))),
  },
  role_name: { volatile: true, impl: ([id], session) => roleName(id!, session) },
  statement_text: { volatile: true, impl: ([stamp], session) => statementText(stamp!, session) },
};
