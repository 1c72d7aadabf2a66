// SASLprep, the normal form of passwords (RFC 4013). Pure.
//
// As PostgreSQL does it: a password that the profile prohibits is used as it is, so that any bytes work as
// long as both sides have the same. Code points that Unicode 3.2 had not assigned are let through: later
// versions of the clients' tables disagree about them, and no one's NFKC changes the old ones.

/** RFC 3454 C.1.2: spaces that become U+0020. */
const SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;

/** RFC 3454 B.1: commonly mapped to nothing. U+200B is in C.1.2 as well, which comes first in PostgreSQL. */
const NOTHING =
  /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;

/** RFC 4013 2.3: controls, private use, non-characters, surrogates, unfit for plain text, tags. */
const PROHIBITED = new RegExp(
  '[\\u0000-\\u001f\\u007f-\\u009f\\u06dd\\u070f\\u180e\\u200e\\u200f\\u2028-\\u202e\\u2061-\\u2063' +
    '\\u206a-\\u206f\\u0340\\u0341\\u2ff0-\\u2ffb\\ufff9-\\uffff\\u{1d173}-\\u{1d17a}' +
    '\\u{e0001}\\u{e0020}-\\u{e007f}\\p{Co}\\p{Cs}\\p{Noncharacter_Code_Point}]',
  'u',
);

/** RFC 3454 D.1 and D.2 by script: letters written from right to left, and those written the other way. */
const RIGHT_TO_LEFT = new RegExp(
  '[' +
    '\\u05be\\u05c0\\u05c3\\u05d0-\\u05f4\\u061b-\\u064a\\u066d-\\u06d5' +
    '\\u06e5\\u06e6\\u06fa-\\u06fe\\u0700-\\u07b1\\ufb1d-\\ufb28\\ufb2a-\\ufdfc' +
    '\\ufe70-\\ufefc' +
    ']',
  'u',
);
const LEFT_TO_RIGHT = new RegExp(
  '[' +
    '\\p{Script=Latin}\\p{Script=Greek}\\p{Script=Cyrillic}' +
    '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}' +
    '\\p{Script=Hangul}\\p{Script=Devanagari}\\p{Script=Thai}' +
    ']',
  'u',
);

/** The form of a password that is hashed; the password itself where the profile prohibits it. */
export function saslPrepare(password: string): string {
  if (/^[\x20-\x7e]*$/.test(password)) return password;
  const prepared = password.replace(SPACES, ' ').replace(NOTHING, '').normalize('NFKC');
  if (prepared === '' || PROHIBITED.test(prepared)) return password;
  return isBidirectional(prepared) ? password : prepared;
}

/** Whether the rules of RFC 3454 section 6 are broken. */
function isBidirectional(text: string): boolean {
  if (!RIGHT_TO_LEFT.test(text)) return false;
  const characters = Array.from(text);
  const ends = [characters[0] ?? '', characters.at(-1) ?? ''];
  return LEFT_TO_RIGHT.test(text) || !ends.every((character) => RIGHT_TO_LEFT.test(character));
}
