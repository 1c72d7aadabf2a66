// Rewrites scalars. Pure.

import type { Query, Scalar } from '../../sql/ir.ts';

/**
 * The scalar with every node that `replace` answers for replaced; other nodes are kept, or copied where
 * something below them was replaced.
 */
export function mapScalar(scalar: Scalar, replace: (node: Scalar) => Scalar | undefined): Scalar {
  return mapped(scalar, replace) as Scalar;
}

/** The same through a whole query: its targets, conditions, subqueries. */
export function mapQuery(query: Query, replace: (node: Scalar) => Scalar | undefined): Query {
  return mapped(query, replace) as Query;
}

function mapped(value: unknown, replace: (node: Scalar) => Scalar | undefined): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => mapped(item, replace));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  if ('kind' in value && 'type' in value) {
    const other = replace(value as Scalar);
    if (other !== undefined) return other;
  }
  let copy: Record<string, unknown> | null = null;
  for (const [key, field] of Object.entries(value)) {
    const other = mapped(field, replace);
    if (other !== field) (copy ??= { ...value })[key] = other;
  }
  return copy ?? value;
}
