// Expressions of row programs, made once for a plan: in the ledger's language, with holes for what the edge
// knows (parameters, now(), …). Pure.

import { compileExpression } from '../../ledger/evaluate.ts';
import type { Evaluator } from '../../ledger/evaluate.ts';
import type { Expression } from '../../ledger/expression.ts';
import type { Datum } from '../../ledger/type.ts';
import type { EdgeExpression, Surroundings } from './edge-expression.ts';

export class Template {
  /** Its value for a row; columns with negative ids are its holes: -1 is the first. */
  readonly evaluate: Evaluator;
  readonly #holes: readonly EdgeExpression[];
  readonly #fill: Filler<Expression>;

  /** @param expression  reads columns with negative ids where a hole is */
  constructor(expression: Expression, holes: readonly EdgeExpression[]) {
    this.evaluate = compileExpression(expression);
    this.#holes = holes;
    this.#fill = (filler(expression) as Filler<Expression> | null) ?? (() => expression);
  }

  /** What goes into its holes, in order. */
  values(surroundings: Surroundings): Datum[] {
    return this.#holes.map((hole) => hole.evaluate(surroundings));
  }

  /** The expression with constants in its holes. */
  fill(values: readonly Datum[]): Expression {
    return this.#fill(values);
  }
}

type Filler<T> = (values: readonly Datum[]) => T;

/** Makes a copy with the holes filled; null for what has none and can be shared. */
function filler(node: unknown): Filler<unknown> | null {
  if (typeof node !== 'object' || node === null || node instanceof Uint8Array) return null;
  if (Array.isArray(node)) {
    const items = node.map(filler);
    if (items.every((item) => item === null)) return null;
    return (values) => node.map((item: unknown, i) => items[i]?.(values) ?? item);
  }
  const { kind, column, type } = node as Partial<Extract<Expression, { kind: 'column' }>>;
  if (kind === 'column' && column! < 0) {
    const hole = -column! - 1;
    return (values) => ({ kind: 'const', type, value: values[hole]! });
  }
  const fields = Object.entries(node).flatMap(([name, field]) => {
    const fill = name === 'type' ? null : filler(field);
    return fill === null ? [] : [{ name, fill }];
  });
  if (fields.length === 0) return null;
  return (values) => {
    const copy: Record<string, unknown> = { ...node };
    for (const { name, fill } of fields) copy[name] = fill(values);
    return copy;
  };
}
