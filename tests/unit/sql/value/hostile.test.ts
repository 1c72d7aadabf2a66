// Whatever text or bytes a client sends, the answer is a value or an SqlError, and soon.

import { expect, test } from '@jest/globals';
import { isSqlError } from '../../../../ledger/error.ts';
import { fromBinary } from '../../../../sql/value/binary.ts';
import { DEFAULT_CONTEXT } from '../../../../sql/value/context.ts';
import { formatText, parseText } from '../../../../sql/value/text.ts';
import { VALUE_CASES } from '../../../vectors/value-cases.ts';
import { typeOfName } from './type-name.ts';

const SEED = 20_200_105;
const ROUNDS = 150;
const SIGNS = '0123456789+-.:/,{}[]"\\eETZPpmy \u00e9\0\n';

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A text with a few signs changed, added or taken away. */
function damage(text: string, next: (below: number) => number): string {
  let damaged = text.slice(0, 200);
  for (let count = next(4); count >= 0; count--) {
    const at = next(damaged.length + 1);
    const sign = SIGNS[next(SIGNS.length)]!;
    damaged = damaged.slice(0, at) + (next(3) === 0 ? '' : sign) + damaged.slice(at + next(2));
  }
  return damaged;
}

test('damaged texts', () => {
  const next = random(SEED);
  let accepted = 0;
  for (const { type: name, inputs } of VALUE_CASES) {
    const type = typeOfName(name);
    for (let round = 0; round < ROUNDS; round++) {
      const text = damage(inputs[next(inputs.length)]!, next);
      try {
        formatText(parseText(text, type, DEFAULT_CONTEXT), type, DEFAULT_CONTEXT);
        accepted++;
      } catch (error) {
        if (!isSqlError(error))
          throw new Error(`${name} ${JSON.stringify(text)}`, { cause: error });
      }
    }
  }
  expect(accepted).toBeGreaterThan(0);
});

test('random bytes', () => {
  const next = random(SEED);
  let accepted = 0;
  for (const { type: name } of VALUE_CASES) {
    const type = typeOfName(name);
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = Uint8Array.from({ length: next(30) }, () =>
        next(3) === 0 ? next(256) : next(2),
      );
      try {
        formatText(fromBinary(bytes, type), type, DEFAULT_CONTEXT);
        accepted++;
      } catch (error) {
        if (!isSqlError(error)) throw new Error(`${name} ${String(bytes)}`, { cause: error });
      }
    }
  }
  expect(accepted).toBeGreaterThan(0);
});
