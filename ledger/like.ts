// LIKE: Postgres' pattern matcher. Pure.
//
// % is any run of characters, _ is one character (a code point), a backslash takes the next one as it is.

import { SqlError } from './error.ts';
import { lowerAscii } from './text.ts';
import { SQLSTATE } from './sqlstate.ts';

/** @throws SqlError 22025 when the pattern ends with the escape character */
export function like(text: string, pattern: string): boolean {
  let at = 0;
  let mark = 0;
  // Where to go on after the last %, once what follows it did not match.
  let resumeText = -1;
  let resumePattern = -1;
  for (;;) {
    const sign = pattern[mark];
    if (sign === '%') {
      resumePattern = ++mark;
      resumeText = at;
      continue;
    }
    if (sign === undefined && at >= text.length) return true;
    let advanced = false;
    if (sign === '_' && at < text.length) {
      at += text.codePointAt(at)! > 0xffff ? 2 : 1;
      mark++;
      advanced = true;
    } else if (sign !== undefined && sign !== '_') {
      const literal = sign === '\\' ? pattern[mark + 1] : sign;
      if (literal === undefined) throw endsWithEscape();
      if (at < text.length && text[at] === literal) {
        at++;
        mark += sign === '\\' ? 2 : 1;
        advanced = true;
      }
    }
    if (advanced) continue;
    if (resumePattern < 0 || resumeText >= text.length) return false;
    resumeText += text.codePointAt(resumeText)! > 0xffff ? 2 : 1;
    at = resumeText;
    mark = resumePattern;
  }
}

/** As LIKE, without regard to the case of ASCII letters. */
export function likeIgnoringCase(text: string, pattern: string): boolean {
  return like(lowerAscii(text), lowerAscii(pattern));
}

function endsWithEscape(): SqlError {
  return new SqlError(
    SQLSTATE.invalidEscapeSequence,
    'LIKE pattern must not end with escape character',
  );
}

/** A pattern with another escape character, in terms of the backslash. @throws SqlError 22025 */
export function likeEscape(pattern: string, escape: string): string {
  const sign = [...escape];
  if (sign.length > 1) {
    throw new SqlError(SQLSTATE.invalidEscapeSequence, 'invalid escape string', {
      hint: 'Escape string must be empty or one character.',
    });
  }
  if (escape === '\\') return pattern;
  let result = '';
  let escaped = false;
  for (const character of pattern) {
    if (character === escape && !escaped) {
      result += '\\';
      escaped = true;
      continue;
    }
    // A backslash is nothing special here, so it must be escaped.
    result += character === '\\' && !escaped ? '\\\\' : character;
    escaped = false;
  }
  return result;
}
