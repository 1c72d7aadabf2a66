// WITH. Pure.

import { assert } from '../../ledger/error.ts';
import { plainEquality } from './representation.ts';
import { selectText } from './query.ts';
import { recursiveText } from './set-operation.ts';
import { newAlias, notSupported } from './scope.ts';
import type { Cte } from '../ir.ts';
import type { Scope } from './scope.ts';

/** `WITH …` in front of a query, or nothing. Registers the names in the scope. */
export function commonTables(scope: Scope): string {
  const { ctes } = scope.query;
  if (ctes.length === 0) return '';
  const names = ctes.map((cte) => {
    const name = newAlias(scope.shared, 'w');
    scope.ctes.set(cte.name, name);
    return name;
  });
  const recursive = ctes.some((cte) => cte.recursive);
  const texts = ctes.map((cte, at) => commonTable(cte, names[at]!, scope));
  return `WITH ${recursive ? 'RECURSIVE ' : ''}${texts.join(', ')} `;
}

function commonTable(cte: Cte, name: string, scope: Scope): string {
  assert(cte.query.command === 'select', 'statements that write have been taken out of WITH');
  const columns = cte.types.map((_, at) => `c${at + 1}`).join(', ');
  const hint = { default: '', always: 'MATERIALIZED ', never: 'NOT MATERIALIZED ' }[
    cte.materialized
  ];
  if (!cte.recursive) return `${name}(${columns}) AS ${hint}(${selectText(cte.query, scope)})`;
  const { set } = cte.query;
  if (set?.kind === 'union' && !set.all && !cte.types.every(plainEquality)) {
    throw notSupported('a recursive UNION over values of this type', 'Use UNION ALL.');
  }
  return `${name}(${columns}) AS (${recursiveText(cte.query, scope)})`;
}
