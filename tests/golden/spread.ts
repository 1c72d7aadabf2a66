// The golden files on tables that are spread over several shards: CREATE TABLE gets the option. Pure.
//
// Every table that is made with a primary key is spread by the first column of it. The answers are the same, but for
// the order of rows where none was asked for.

import { parseStatements, type RawNode } from '../../sql/parse.ts';

interface Definition {
  readonly ColumnDef?: {
    readonly colname: string;
    readonly typeName: { readonly arrayBounds?: unknown };
    readonly constraints?: readonly { readonly Constraint: { readonly contype: string } }[];
  };
  readonly Constraint?: {
    readonly contype: string;
    readonly keys?: readonly { readonly String: { readonly sval: string } }[];
  };
}

/** The text with WITH (shard_by = …) in each CREATE TABLE that has a primary key; itself where it cannot be parsed. */
export function spreadTables(text: string): string {
  if (!/create\s+table/i.test(text)) return text;
  let statements;
  try {
    statements = parseStatements(text);
  } catch {
    return text;
  }
  const bytes = Buffer.from(text);
  const pieces: string[] = [];
  let from = 0;
  for (const { kind, tree, start, text: own } of statements) {
    const column = kind === 'CreateStmt' ? keyOf(tree) : undefined;
    if (column === undefined) continue;
    const end = start + Buffer.byteLength(own);
    pieces.push(bytes.subarray(from, end).toString(), ` WITH (shard_by = '${column}')`);
    from = end;
  }
  return pieces.join('') + bytes.subarray(from).toString();
}

/** The first column of the primary key; undefined where there is none, or where WITH would stand in a wrong place. */
function keyOf(tree: RawNode): string | undefined {
  const apart = ['options', 'partspec', 'tablespacename', 'inhRelations', 'accessMethod'];
  if (apart.some((field) => tree[field] !== undefined)) return undefined;
  const definitions = (tree['tableElts'] ?? []) as readonly Definition[];
  const columns = definitions.flatMap(({ ColumnDef }) => (ColumnDef === undefined ? [] : [ColumnDef]));
  const table = definitions.find(({ Constraint }) => Constraint?.contype === 'CONSTR_PRIMARY');
  const own = columns.find(({ constraints }) =>
    constraints?.some(({ Constraint }) => Constraint.contype === 'CONSTR_PRIMARY'),
  );
  const name = table?.Constraint?.keys?.[0]?.String.sval ?? own?.colname;
  const column = columns.find(({ colname }) => colname === name);
  return column?.typeName.arrayBounds === undefined ? column?.colname : undefined;
}
