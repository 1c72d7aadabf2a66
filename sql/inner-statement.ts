// The statement inside PREPARE, DECLARE, EXPLAIN, COPY (…) and CREATE TABLE AS, by its place in the text; and
// what PREPARE and EXECUTE have in brackets. Pure.

import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import { scan } from './parse.ts';
import type { ParsedStatement, Token } from './parse.ts';

/** Its text, and where that begins in the outer text, in UTF-16 units. */
export interface InnerText {
  readonly text: string;
  readonly start: number;
}

/**
 * @throws SqlError XX000 for a statement that has none inside
 */
export function innerText(statement: ParsedStatement): InnerText {
  const tokens = scan(statement.text).filter(({ tokenName }) => !/COMMENT/.test(tokenName));
  const start = startOf(statement.kind, tokens);
  const first = tokens[start];
  if (first === undefined) {
    throw new SqlError(SQLSTATE.internalError, `no statement inside ${statement.kind}`);
  }
  const end = statement.kind === 'CopyStmt' ? matching(tokens, start - 1) : tokens.length;
  // Token offsets count UTF-8 bytes.
  const bytes = new TextEncoder().encode(statement.text);
  const decode = (from: number, to?: number) => new TextDecoder().decode(bytes.subarray(from, to));
  return {
    text: decode(first.start, tokens[end]?.start).trim(),
    start: decode(0, first.start).length,
  };
}

/** What stands in the first brackets of a statement, cut at its commas: of PREPARE the types, of EXECUTE the values. */
export function bracketed(text: string): string[] {
  const tokens = scan(text).filter(({ tokenName }) => !/COMMENT/.test(tokenName));
  const open = tokens.findIndex((token) => token.text === '(');
  if (open < 0) return [];
  const close = matching(tokens, open);
  const bytes = new TextEncoder().encode(text);
  const parts: string[] = [];
  let depth = 0;
  let from = tokens[open]!.start + 1;
  for (const [i, token] of tokens.slice(0, close + 1).entries()) {
    if (i <= open) continue;
    if (i === close || (depth === 0 && token.text === ',')) {
      parts.push(new TextDecoder().decode(bytes.subarray(from, token.start)).trim());
      from = token.start + 1;
    } else if (/^[([]$/.test(token.text)) depth += 1;
    else if (/^[)\]]$/.test(token.text)) depth -= 1;
  }
  return parts;
}

function startOf(kind: string, tokens: readonly Token[]): number {
  switch (kind) {
    case 'PrepareStmt':
    case 'CreateTableAsStmt':
      return atDepthZero(tokens, 'as') + 1;
    case 'DeclareCursorStmt':
      return atDepthZero(tokens, 'for') + 1;
    case 'CopyStmt':
      return 2;
    case 'ExplainStmt': {
      let at = 1;
      if (tokens[at]?.text === '(') at = matching(tokens, at) + 1;
      while (/^(analy[sz]e|verbose)$/i.test(tokens[at]?.text ?? '')) at += 1;
      return at;
    }
    default:
      return tokens.length;
  }
}

function atDepthZero(tokens: readonly Token[], word: string): number {
  let depth = 0;
  return tokens.findIndex(({ text }) => {
    if (text === '(') depth += 1;
    if (text === ')') depth -= 1;
    return depth === 0 && text.toLowerCase() === word;
  });
}

/** Index of the bracket that closes the one at `open`. */
function matching(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let i = open; i < tokens.length; i += 1) {
    if (tokens[i]!.text === '(') depth += 1;
    else if (tokens[i]!.text === ')' && (depth -= 1) === 0) return i;
  }
  return tokens.length;
}
