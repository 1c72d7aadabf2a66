// The views of schema `ledger`: the one definition of their names and columns. Pure.
//
// The analyst makes a view of each in its mirror, so that names resolve and catalogs show them; what the
// compiler puts in FROM is in sql/ledger-source.ts.

/** PostgreSQL type names; see ledger/type.ts for how values are held. */
export type LedgerColumnType =
  'int4' | 'int8' | 'float8' | 'bytea' | 'bool' | 'text' | 'name' | 'timestamptz';

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
        'transactions_root bytea, executed_height int8, receipts_root bytea, history_root bytea, ' +
        'proposer bytea',
    ),
  },
  {
    id: -2,
    name: 'transactions',
    description: 'Transactions in the order of the chain',
    columns: columns(
      'height int8, position int4, id bytea, author name, time timestamptz, status text, statement text',
    ),
  },
  {
    id: -3,
    name: 'receipts',
    description: 'What each transaction did',
    columns: columns(
      'height int8, position int4, transaction bytea, sqlstate text, message text, inserted int8, ' +
        'updated int8, deleted int8, versions int8, versions_root bytea',
    ),
  },
  {
    id: -4,
    name: 'accounts',
    description: 'Roles that sign, and their public keys',
    columns: columns('id int8, name name, public_key bytea, custody text'),
  },
  {
    id: -5,
    name: 'shards',
    description: 'Files that hold the state, and how far each is applied',
    columns: columns(
      'shard int4, file text, bytes int8, height int8, tables int4, free_bytes int8, log_bytes int8',
    ),
  },
  {
    id: -6,
    name: 'nodes',
    description: 'Nodes of the ledger, as this one sees them at the moment',
    columns: columns(
      'member int4, public_key bytea, address text, role text, this_node bool, up bool, ' +
        'up_since timestamptz, round_trip_ms float8, height int8, bytes_in int8, bytes_out int8, ' +
        'queue_bytes int8, dropped int8, last_error text',
    ),
  },
  {
    id: -7,
    name: 'chain',
    description: 'The ledger itself, in one row',
    columns: columns('chain_id bytea, height int8, hash bytea, time timestamptz'),
  },
  {
    id: -8,
    name: 'relations',
    description: 'Tables, views and sequences as the chain knows them',
    columns: columns(
      'id int8, schema name, name name, kind text, shard int4, schema_version int4, append_only bool, ' +
        'rows int8, bytes int8',
    ),
  },
  {
    id: -9,
    name: 'consensus',
    description: 'How the nodes agree at the moment, in one row',
    columns: columns(
      'policy text, mode text, epoch int8, term int8, leader bytea, height int8, executed_height int8, ' +
        'members int4, f int4, report_quorum int4, fast_quorum int4, silent_tolerated int4, ' +
        'reachable int4, byzantine_tolerance bool, window_blocks int4',
    ),
  },
  {
    id: -10,
    name: 'config',
    description: 'The rules of the consensus, now and before',
    columns: columns('setting text, value text, epoch int8, valid_from int8, valid_to int8'),
  },
  {
    id: -11,
    name: 'evidence',
    description:
      'What the members have put on the chain themselves: proven lies, changes of mode and rules',
    columns: columns(
      'height int8, position int4, time timestamptz, epoch int8, kind text, member int4, ' +
        'public_key bytea, mode text, proof bytea, reason text',
    ),
  },
  {
    id: -12,
    name: 'alarms',
    description: 'What this node has raised since its start, for an operator to look at',
    columns: columns('number int8, time timestamptz, kind text, message text'),
  },
];

/** Parameters that the text of a view may have: who asks, and what only the node at the moment knows. */
export const VIEW_PARAMETERS: readonly string[] = [
  'user',
  'ledger_nodes',
  'ledger_consensus',
  'ledger_alarms',
  'ledger_files',
];

/** Relation id of a view by name, or 0. */
export function ledgerViewId(name: string): number {
  return LEDGER_VIEWS.find((view) => view.name === name)?.id ?? 0;
}

/** @returns the view with that id, or undefined */
export function ledgerView(id: number): LedgerView | undefined {
  return LEDGER_VIEWS.find((view) => view.id === id);
}
