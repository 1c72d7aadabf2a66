// The resolved tree of a statement, got out of Postgres by making it the body of a function. Shell.
//
// (1) It is called inside a transaction that is rolled back.
// (2) A function takes at most 100 arguments, a statement 65,535 parameters: when there are more than a few,
//     parameters of one type become elements of one array argument, and the tree is put back afterwards.

import { AssertionError } from '../../ledger/error.ts';
import { replaceParameters } from '../parse.ts';
import { isNode, parseTree } from '../node-tree-text.ts';
import type { TreeNode, TreeValue } from '../node-tree-text.ts';
import { queryNodes } from '../node-tree.ts';
import type { Postgres } from './postgres.ts';

const FUNCTION = 'analysed statement';
const ARGUMENTS_MAX = 100;

/**
 * The QUERY node of a SELECT, INSERT, UPDATE, DELETE or VALUES.
 *
 * @param typeName  name of a type for use in SQL, by OID
 * @param arrayOid  OID of a type's array type, 0 without
 */
export function statementTree(
  postgres: Postgres,
  text: string,
  parameterOids: readonly number[],
  typeName: (oid: number) => string,
  arrayOid: (oid: number) => number,
): TreeNode {
  if (parameterOids.length <= ARGUMENTS_MAX) {
    return bodyOf(postgres, text, parameterOids.map(typeName));
  }
  const groups = groupParameters(parameterOids);
  const args = groups.map(({ oid, numbers }) =>
    typeName(numbers.length === 1 ? oid : arrayOid(oid)),
  );
  const places = new Map<number, string>();
  groups.forEach(({ numbers }, group) =>
    numbers.forEach((number, i) =>
      places.set(number, numbers.length === 1 ? `$${group + 1}` : `($${group + 1})[${i + 1}]`),
    ),
  );
  const tree = bodyOf(
    postgres,
    replaceParameters(text, (number) => places.get(number) ?? `$${number}`),
    args,
  );
  return restore(tree, groups) as TreeNode;
}

function bodyOf(postgres: Postgres, text: string, args: readonly string[]): TreeNode {
  const name = `pg_temp."${FUNCTION}"`;
  // The line end closes a comment that the text may end with.
  const { rows } = postgres.run(
    `create function ${name}(${args.join(', ')}) returns void begin atomic ${text}\n; end; ` +
      `select prosqlbody::text from pg_catalog.pg_proc where proname = '${FUNCTION}'`,
  );
  const [tree] = queryNodes(parseTree(rows[0]?.[0] ?? '()'));
  if (tree === undefined) throw new AssertionError('analyst: statement without a tree');
  return tree;
}

interface ParameterGroup {
  readonly oid: number;
  /** Parameter numbers, from 1. */
  readonly numbers: readonly number[];
}

function groupParameters(oids: readonly number[]): ParameterGroup[] {
  const groups = new Map<number, number[]>();
  oids.forEach((oid, i) => {
    const group = groups.get(oid);
    if (group === undefined) groups.set(oid, [i + 1]);
    else group.push(i + 1);
  });
  return [...groups].map(([oid, numbers]) => ({ oid, numbers }));
}

/** Turns `($g)[i]` back into the parameter it stands for. */
function restore(value: TreeValue, groups: readonly ParameterGroup[]): TreeValue {
  if (Array.isArray(value))
    return (value as readonly TreeValue[]).map((item) => restore(item, groups));
  if (!isNode(value)) return value;
  if (value.tag === 'SUBSCRIPTINGREF') {
    const found = elementOf(value, groups);
    if (found !== null) return found;
  }
  if (value.tag === 'PARAM' && value.fields.get('paramkind') === '0') {
    const { numbers } = groups[Number(value.fields.get('paramid')) - 1] as ParameterGroup;
    return parameter(value, numbers[0] ?? 0, String(value.fields.get('paramtype')));
  }
  const fields = [...value.fields].map(([name, item]) => [name, restore(item, groups)] as const);
  return { tag: value.tag, fields: new Map(fields) };
}

function elementOf(node: TreeNode, groups: readonly ParameterGroup[]): TreeNode | null {
  const base = node.fields.get('refexpr');
  if (!isNode(base) || base.tag !== 'PARAM' || base.fields.get('paramkind') !== '0') return null;
  const group = groups[Number(base.fields.get('paramid')) - 1];
  if (group === undefined || group.numbers.length === 1) return null;
  const [subscript] = node.fields.get('refupperindexpr') as readonly TreeValue[];
  if (!isNode(subscript)) return null;
  const bytes = subscript.fields.get('constvalue') as Uint8Array;
  const index = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
  return parameter(base, group.numbers[index - 1] ?? 0, String(group.oid));
}

function parameter(node: TreeNode, number: number, oid: string): TreeNode {
  const fields = new Map(node.fields);
  fields.set('paramid', String(number));
  fields.set('paramtype', oid);
  return { tag: 'PARAM', fields };
}
