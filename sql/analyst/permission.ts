// Who may read or write what: the privileges a resolved statement needs, asked of Postgres. Shell.
//
// The rule is that of ExecCheckOneRelPerms() in execMain.c: the whole relation, or else every column touched.

import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { SqlError } from '../../ledger/error.ts';
import { isNode, walkTree } from '../node-tree-text.ts';
import type { TreeNode, TreeValue } from '../node-tree-text.ts';
import type { Postgres } from './postgres.ts';

/** One RTEPERMISSIONINFO. */
export interface Need {
  readonly oid: number;
  /** Name of the role to check as. */
  readonly role: string;
  readonly bits: number;
  readonly select: readonly number[];
  readonly insert: readonly number[];
  readonly update: readonly number[];
}

const KINDS = [
  { bit: 2, name: 'SELECT' },
  { bit: 1, name: 'INSERT' },
  { bit: 4, name: 'UPDATE' },
  { bit: 8, name: 'DELETE' },
] as const;

/** Bit 7 of a column set is attribute 0, the whole row. */
const ATTRIBUTE_OFFSET = 7;

/** The needs that one query tree states, sub-selects included, views not. */
export function needsOf(tree: TreeNode, role: string): Need[] {
  const needs: Need[] = [];
  const columns = (node: TreeNode, name: string): number[] =>
    ((node.fields.get(name) ?? []) as readonly TreeValue[]).map(
      (bit) => Number(bit) - ATTRIBUTE_OFFSET,
    );
  walkTree(tree, (node) => {
    if (!isNode(node) || node.tag !== 'RTEPERMISSIONINFO') return;
    needs.push({
      oid: Number(node.fields.get('relid')),
      role,
      bits: Number(node.fields.get('requiredPerms')),
      select: columns(node, 'selectedCols'),
      insert: columns(node, 'insertedCols'),
      update: columns(node, 'updatedCols'),
    });
  });
  return needs;
}

/**
 * Checks all needs in one query.
 *
 * @throws SqlError 42501 for the first that is not granted, in the words of Postgres
 */
export function checkNeeds(postgres: Postgres, needs: readonly Need[]): void {
  const conditions = needs.flatMap((need) => {
    const granted = KINDS.filter(({ bit }) => (need.bits & bit) !== 0).map(({ name }) =>
      conditionOf(need, name),
    );
    return granted.length === 0 ? [] : [{ oid: need.oid, granted: granted.join(' and ') }];
  });
  if (conditions.length === 0) return;
  const values = conditions.map(({ oid, granted }, i) => `(${i}, ${oid}, ${granted})`).join(', ');
  const { rows } = postgres.run(
    `select c.relkind, c.relname from (values ${values}) v(i, relation, granted)
       join pg_catalog.pg_class c on c.oid = v.relation where not granted order by i limit 1`,
  );
  const [refused] = rows;
  if (refused === undefined) return;
  const [kind, name] = refused;
  const what = kind === 'v' ? 'view' : kind === 'S' ? 'sequence' : 'table';
  throw new SqlError(SQLSTATE.insufficientPrivilege, `permission denied for ${what} ${name}`);
}

function conditionOf(need: Need, privilege: (typeof KINDS)[number]['name']): string {
  const who = `'${need.role.replaceAll("'", "''")}'::pg_catalog.name`;
  const whole = `pg_catalog.has_table_privilege(${who}, ${need.oid}::pg_catalog.oid, '${privilege}')`;
  if (privilege === 'DELETE') return whole;
  const columns = { SELECT: need.select, INSERT: need.insert, UPDATE: need.update }[privilege];
  const any = `pg_catalog.has_any_column_privilege(${who}, ${need.oid}::pg_catalog.oid, '${privilege}')`;
  if (columns.length === 0) return `(${whole} or ${any})`;
  const each = columns.map((column) =>
    column === 0
      ? `(select pg_catalog.bool_and(pg_catalog.has_column_privilege(${who}, attrelid, attnum, '${privilege}'))
           from pg_catalog.pg_attribute where attrelid = ${need.oid} and attnum > 0 and not attisdropped)`
      : `pg_catalog.has_column_privilege(${who}, ${need.oid}::pg_catalog.oid, ${column}::pg_catalog.int2, '${privilege}')`,
  );
  return `(${whole} or (${each.join(' and ')}))`;
}
