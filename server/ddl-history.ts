// The DDL of the chain, oldest first: what the analyst's mirror is rebuilt from. Shell.

import type { Genesis } from '../ledger/block.ts';
import { ID } from '../ledger/catalog.ts';
import type { Role } from '../ledger/catalog.ts';
import { positionOf, heightOf } from '../ledger/operation.ts';
import type { Operation } from '../ledger/operation.ts';
import { decodeBody, decodeTransaction } from '../ledger/encoding.ts';
import { StorageError } from '../ledger/error.ts';
import { BlockStore } from '../storage/block-store.ts';
import { genesisOf } from '../storage/epochs.ts';
import type { Inline } from './inline.ts';
import type { DdlRecord } from '../sql/analysis.ts';
import { quoted } from './session/copy.ts';

/**
 * The roles of the genesis record come first: of these the mirror knows the first administrator by itself.
 *
 * @param height  of the newest block whose DDL is wanted
 * @throws StorageError damaged when a block of the chain is missing
 */
export function ddlHistory(
  directory: string,
  inline: Pick<Inline, 'read'>,
  height = Infinity,
): DdlRecord[] {
  const blocks = new BlockStore(directory, { readonly: true });
  try {
    const stamps = inline.read(
      'SELECT DISTINCT stamp FROM main._catalog WHERE stamp > 0 ORDER BY stamp',
    );
    const later = stamps.flatMap(([stamp]) =>
      heightOf(stamp as bigint) <= height ? recordsAt(blocks, stamp as bigint) : [],
    );
    return [...rolesOf(genesisOf(blocks)), ...later];
  } finally {
    blocks.close();
  }
}

/** What makes the administrators of all organisations but the first, as the first would have. */
function rolesOf({ catalog }: Genesis): DdlRecord[] {
  const roles = catalog.flatMap((change) =>
    'put' in change && change.put === 'role' ? [change.object] : [],
  );
  const first = roles.find(({ id }) => id === ID.adminRole);
  return roles.flatMap((role) =>
    role === first
      ? []
      : [{ role: first?.name ?? '', searchPath: 'public', text: createRole(role) }],
  );
}

function createRole({ name, superuser, login, inherit, createRole, createDatabase }: Role): string {
  const words = Object.entries({
    SUPERUSER: superuser,
    LOGIN: login,
    INHERIT: inherit,
    CREATEROLE: createRole,
    CREATEDB: createDatabase,
  }).map(([word, is]) => (is ? word : `NO${word}`));
  return `CREATE ROLE ${quoted(name)} ${words.join(' ')}`;
}

function recordsAt(blocks: BlockStore, stamp: bigint): DdlRecord[] {
  const height = heightOf(stamp);
  const block = blocks.read(height);
  if (block === null)
    throw new StorageError('damaged', `${blocks.fileOf(height)}: block ${height} is missing`);
  const transactions = decodeBody(block.body).bundles.flatMap((bundle) => bundle.transactions);
  const bytes = transactions[positionOf(stamp)];
  if (bytes === undefined) throw new StorageError('damaged', `block ${height} lacks a transaction`);
  return ddlOf(decodeTransaction(bytes).operations);
}

/** The DDL among a transaction's operations. Chunks hold none. */
export function ddlOf(operations: readonly Operation[]): DdlRecord[] {
  return operations.flatMap((operation) => {
    if (operation.kind !== 'catalog') return [];
    const { role, searchPath, text } = operation;
    return [{ role, searchPath, text }];
  });
}
