// The views of schema `ledger`: the one definition of their names, columns and sources. Pure.
//
// The analyst makes a view of each in its mirror, so that names resolve and catalogs show them; the compiler
// puts `source` in FROM.

/** PostgreSQL type names; see ledger/type.ts for how values are held. */
export type LedgerColumnType = 'int4' | 'int8' | 'bytea' | 'bool' | 'text' | 'name' | 'timestamptz';

export interface LedgerColumn {
  readonly name: string;
  readonly type: LedgerColumnType;
}

export interface LedgerView {
  /** Relation id in resolved statements; negative, never on the chain, fixed for ever. */
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly columns: readonly LedgerColumn[];
  /** SQLite SELECT that gives the columns in order. */
  readonly source: string;
}

function columns(list: string): LedgerColumn[] {
  return list.split(', ').map((item) => {
    const [name = '', type = 'text'] = item.split(' ');
    return { name, type: type as LedgerColumnType };
  });
}

export const LEDGER_VIEWS: readonly LedgerView[] = [
  {
    id: -1,
    name: 'blocks',
    description: 'Blocks of the chain',
    columns: columns(
      'height int8, hash bytea, parent bytea, time timestamptz, transactions int4, ' +
        'receipts_root bytea, proposer bytea',
    ),
    source: '',
  },
  {
    id: -2,
    name: 'transactions',
    description: 'Transactions in the order of the chain',
    columns: columns(
      'height int8, position int4, id bytea, author name, time timestamptz, status text, statement text',
    ),
    source: '',
  },
  {
    id: -3,
    name: 'receipts',
    description: 'What each transaction did',
    columns: columns(
      'height int8, position int4, transaction bytea, sqlstate text, message text, inserted int8, ' +
        'updated int8, deleted int8, versions int8, versions_root bytea',
    ),
    source: '',
  },
  {
    id: -4,
    name: 'accounts',
    description: 'Roles that sign, and their public keys',
    columns: columns('name name, public_key bytea, custody text'),
    source: '',
  },
  {
    id: -5,
    name: 'shards',
    description: 'Files that hold the state, and how far each is applied',
    columns: columns('shard int4, file text, bytes int8, height int8, tables int4'),
    source: '',
  },
  {
    id: -6,
    name: 'nodes',
    description: 'Nodes of the ledger',
    columns: columns('public_key bytea, name text, role text'),
    source: '',
  },
];

/** Relation id of a view by name, or 0. */
export function ledgerViewId(name: string): number {
  return LEDGER_VIEWS.find((view) => view.name === name)?.id ?? 0;
}

/** @returns the view with that id, or undefined */
export function ledgerView(id: number): LedgerView | undefined {
  return LEDGER_VIEWS.find((view) => view.id === id);
}
