// A signature that was valid once is valid again; nothing else is remembered.

import { expect, test } from '@jest/globals';
import { remembering } from '../../../consensus/verified.ts';
import { utf8 } from '../../../ledger/bytes.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';

const seed = new Uint8Array(32).fill(7);
const key = nativeCrypto.publicKeyOf(seed);

test('only what was found valid is remembered, for that key and message alone', () => {
  let checked = 0;
  const crypto = remembering({
    ...nativeCrypto,
    verify: (...what) => {
      checked += 1;
      return nativeCrypto.verify(...what);
    },
  });
  const message = utf8('to be signed');
  const own = crypto.sign(seed, utf8('said by this node'));
  expect(crypto.verify(key, utf8('said by this node'), own)).toBe(true);
  expect(checked).toBe(0);
  const signature = nativeCrypto.sign(seed, message);
  expect([1, 2, 3].map(() => crypto.verify(key, message, signature))).toEqual([true, true, true]);
  expect(checked).toBe(1);
  const forged = signature.slice();
  forged[0]! ^= 1;
  const other = nativeCrypto.publicKeyOf(new Uint8Array(32).fill(8));
  for (let round = 0; round < 2; round++) {
    expect(crypto.verify(key, message, forged)).toBe(false);
    expect(crypto.verify(key, utf8('something else'), signature)).toBe(false);
    expect(crypto.verify(other, message, signature)).toBe(false);
  }
  expect(checked).toBe(7);
});
