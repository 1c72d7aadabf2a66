// LIKE and its kin. Pure.
//
// A constant LIKE pattern becomes GLOB, which SQLite runs natively, case-sensitively, and over an index when
// the pattern begins with plain text. Everything else is a registered function.

import { call } from './registered.ts';
import { quote } from './representation.ts';
import { scalar } from './scalar.ts';
import type { Scalar } from '../ir.ts';
import type { Scope } from './scope.ts';

type Call = Extract<Scalar, { kind: 'call' }>;

const PATTERN =
  /^(?:text|bpchar|name)(n?)(like|iclike|icnlike|regexeq|regexne|icregexeq|icregexne)$/;

export function patternCall(node: Call, scope: Scope): string | null {
  const found = PATTERN.exec(node.fn.symbol);
  if (found === null || node.args.length !== 2) return null;
  const kind = found[2]!;
  const negated = found[1] === 'n' || kind.endsWith('ne') || kind === 'icnlike';
  const text = subject(node.args[0]!, scope);
  const pattern = node.args[1]!;
  const test = positive(kind, text, pattern, scope);
  return negated ? `(NOT ${test})` : test;
}

/** Patterns of char(n) see its blanks, which are not stored. */
function subject(node: Scalar, scope: Scope): string {
  const text = scalar(node, scope);
  const { base, typmod } = node.type;
  if (base !== 'bpchar' || typmod < BLANKS_FROM) return text;
  return call('padded', [text, String(typmod)]);
}

/** The modifier of char(n) is n + 4; without a length there are no blanks. */
const BLANKS_FROM = 5;

function positive(kind: string, text: string, pattern: Scalar, scope: Scope): string {
  if (kind === 'like' && pattern.kind === 'const' && typeof pattern.value === 'string') {
    const glob = globOf(pattern.value);
    if (glob !== null) return `(${text} GLOB ${quote(glob)})`;
  }
  const insensitive = kind.startsWith('ic');
  const name = kind.includes('regex') ? 'regex_match' : 'like_match';
  return call(name, [text, scalar(pattern, scope), insensitive ? '1' : '0']);
}

/** The GLOB pattern that matches what a LIKE pattern does; null when it ends in a lone escape. */
export function globOf(like: string): string | null {
  let glob = '';
  for (let at = 0; at < like.length; at += 1) {
    let character = like[at]!;
    if (character === '%') glob += '*';
    else if (character === '_') glob += '?';
    else {
      if (character === '\\') {
        at += 1;
        if (at === like.length) return null;
        character = like[at]!;
      }
      glob += '*?['.includes(character) ? `[${character}]` : character;
    }
  }
  return glob;
}
