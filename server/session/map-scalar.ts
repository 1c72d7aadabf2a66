// Rewrites scalars and range tables. Pure.

import type { Query, RangeEntry, Scalar } from '../../sql/ir.ts';

/** What stands for a node, or undefined to keep it; `depth` counts the queries around it, from where we began. */
type Replace = (node: Scalar, depth: number) => Scalar | undefined;

/**
 * The scalar with every node that `replace` answers for replaced; other nodes are kept, or copied where
 * something below them was replaced.
 */
export function mapScalar(scalar: Scalar, replace: Replace): Scalar {
  return mapped(scalar, ofScalars(replace), 0) as Scalar;
}

/** The same through a whole query: its targets, conditions, subqueries. */
export function mapQuery(query: Query, replace: Replace): Query {
  return mapped(query, ofScalars(replace), -1) as Query;
}

/** The query with other range table entries, its own (depth 0) and those of the queries within. */
export function mapEntries(
  query: Query,
  replace: (entry: RangeEntry, depth: number) => RangeEntry | undefined,
): Query {
  const entries: Visit = (node, depth) =>
    'kind' in node && 'alias' in node ? replace(node as RangeEntry, depth) : undefined;
  return mapped(query, entries, -1) as Query;
}

type Visit = (node: object, depth: number) => unknown;

function ofScalars(replace: Replace): Visit {
  return (node, depth) =>
    'kind' in node && 'type' in node ? replace(node as Scalar, depth) : undefined;
}

function mapped(value: unknown, replace: Visit, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => mapped(item, replace, depth));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  const other = replace(value, depth);
  if (other !== undefined) return other;
  const inside = 'command' in value ? depth + 1 : depth;
  let copy: Record<string, unknown> | null = null;
  for (const [key, field] of Object.entries(value)) {
    const made = mapped(field, replace, inside);
    if (made !== field) (copy ??= { ...value })[key] = made;
  }
  return copy ?? value;
}
