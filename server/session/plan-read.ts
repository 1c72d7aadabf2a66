// The plan of a query: compiled for the newest state, without rows of a transaction. Shell only in that it asks
// the node which columns have changed their type.

import type { Analysis } from '../../sql/analysis.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import type { Query } from '../../sql/ir.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import type { ReadPlan } from './plan.ts';

/** @param query  of the analysis, or the part of it that is to be read */
export function planRead(
  analysis: Analysis,
  query: Query,
  { catalog, services }: SessionContext,
): ReadPlan {
  const options = compileOptions(catalog, 'current', new Set(), services.retypings());
  return {
    kind: 'read',
    query,
    analysis,
    compiled: compileQuery(query, options),
    variants: new Map(),
  };
}
