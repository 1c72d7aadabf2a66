// SCRAM verifiers against the published example and PostgreSQL's text form.

import { describe, expect, test } from '@jest/globals';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import {
  deriveVerifier,
  formatVerifier,
  generatePassword,
  tryParseVerifier,
  verifierOfPassword,
} from '../../../identity/password.ts';

describe('verifiers', () => {
  test('the conversation of RFC 7677 section 3 checks against ours', () => {
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    const verifier = deriveVerifier('pencil', salt, 4096);
    const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
    const message =
      'n=user,r=rOprNGfwEbeRWgbNEkqO,' +
      `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=${nonce}`;
    const serverSignature = createHmac('sha256', verifier.serverKey).update(message).digest();
    expect(serverSignature.toString('base64')).toBe('6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
    const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');
    const clientSignature = createHmac('sha256', verifier.storedKey).update(message).digest();
    const clientKey = proof.map((byte, index) => byte ^ clientSignature[index]!);
    const storedKey = createHash('sha256').update(clientKey).digest();
    expect(new Uint8Array(storedKey)).toEqual(verifier.storedKey);
  });

  test('the text form goes there and back, and is taken in place of a password', () => {
    const verifier = verifierOfPassword('pencil');
    const text = formatVerifier(verifier);
    expect(text).toMatch(/^SCRAM-SHA-256\$4096:[^$]+\$[^:]{44}:.{44}$/);
    expect(tryParseVerifier(text)).toEqual(verifier);
    expect(verifierOfPassword(text)).toEqual(verifier);
  });

  test('what is no verifier is a password; absurd iteration counts are no verifier', () => {
    expect(tryParseVerifier('md5abcdef')).toBeUndefined();
    const text = formatVerifier(verifierOfPassword('x'));
    expect(tryParseVerifier(text.replace('4096', '9999999'))).toBeUndefined();
    expect(tryParseVerifier(text.replace('4096', '0'))).toBeUndefined();
    expect(tryParseVerifier(`${text}=`)).toBeUndefined();
  });

  test('two passwords that SASLprep makes equal derive the same keys', () => {
    const salt = new Uint8Array(16);
    const keys = (password: string): unknown => deriveVerifier(password, salt, 1);
    expect(keys('I\u00adX')).toEqual(keys('IX'));
    expect(keys('\u00aa')).toEqual(keys('a'));
    expect(keys('a\u00a0b')).toEqual(keys('a b'));
    expect(keys('\u2168')).toEqual(keys('IX'));
  });

  test('a prohibited character leaves the password as it is', () => {
    const salt = new Uint8Array(16);
    const salted = pbkdf2Sync('\u0007\u2168', salt, 1, 32, 'sha256');
    const serverKey = createHmac('sha256', salted).update('Server Key').digest();
    expect(deriveVerifier('\u0007\u2168', salt, 1).serverKey).toEqual(new Uint8Array(serverKey));
  });
});

test('generated passwords need no escaping anywhere and do not repeat', () => {
  const made = Array.from({ length: 50 }, generatePassword);
  for (const password of made) expect(password).toMatch(/^[a-z2-9]{24}$/);
  expect(new Set(made).size).toBe(50);
});
