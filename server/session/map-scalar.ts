// Rewrites scalars. Pure.

import type { Query, Scalar } from '../../sql/ir.ts';

/** What stands for a node, or undefined to keep it; `depth` counts the queries around it, from where we began. */
type Replace = (node: Scalar, depth: number) => Scalar | undefined;

/**
 * The scalar with every node that `replace` answers for replaced; other nodes are kept, or copied where
 * something below them was replaced.
 */
export function mapScalar(scalar: Scalar, replace: Replace): Scalar {
  return mapped(scalar, replace, 0) as Scalar;
}

/** The same through a whole query: its targets, conditions, subqueries. */
export function mapQuery(query: Query, replace: Replace): Query {
  return mapped(query, replace, -1) as Query;
}

function mapped(value: unknown, replace: Replace, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => mapped(item, replace, depth));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  if ('kind' in value && 'type' in value) {
    const other = replace(value as Scalar, depth);
    if (other !== undefined) return other;
  }
  const inside = 'command' in value ? depth + 1 : depth;
  let copy: Record<string, unknown> | null = null;
  for (const [key, field] of Object.entries(value)) {
    const other = mapped(field, replace, inside);
    if (other !== field) (copy ??= { ...value })[key] = other;
  }
  return copy ?? value;
}
