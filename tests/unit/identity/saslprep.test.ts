import { expect, test } from '@jest/globals';
import { saslPrepare } from '../../../identity/saslprep.ts';

// The examples of RFC 4013 section 3; where the profile prohibits, the password stays as it is.
test.each([
  ['I\u00adX', 'IX'],
  ['user', 'user'],
  ['USER', 'USER'],
  ['\u00aa', 'a'],
  ['\u2168', 'IX'],
  ['\u0007', '\u0007'],
  ['\u0627\u0031', '\u0627\u0031'],
])('%j becomes %j', (password, prepared) => {
  expect(saslPrepare(password)).toBe(prepared);
});

test('spaces of all kinds become the plain one', () => {
  expect(saslPrepare('a\u00a0b\u3000c')).toBe('a b c');
});

test('what is mapped to nothing altogether stays as it is', () => {
  expect(saslPrepare('\u00ad')).toBe('\u00ad');
});

test('mixed directions are prohibited, one direction is composed', () => {
  expect(saslPrepare('\u0627a\u00aa')).toBe('\u0627a\u00aa');
  expect(saslPrepare('e\u0301')).toBe('\u00e9');
});
