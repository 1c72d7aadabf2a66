// Signed addresses: the newest of each member counts, and nothing that its node has not signed.

import { expect, test } from '@jest/globals';
import { hex } from '../../../../ledger/bytes.ts';
import { AddressBook, signAnnouncement } from '../../../../server/peers/announcement.ts';
import { CLOSE, isPeerRefusal } from '../../../../server/peers/refusal.ts';
import { nativeCrypto as crypto } from '../../../../storage/native-crypto.ts';
import { Random } from '../../ledger/random.ts';

const CHAIN = new Uint8Array(32).fill(7);
const SEED = new Uint8Array(32).fill(1);
const NODE = crypto.publicKeyOf(SEED);
const all = (): boolean => true;

function announce(
  sequence: number,
  address: string,
  changes: { chainId?: Uint8Array; seed?: Uint8Array } = {},
): Uint8Array {
  const chainId = changes.chainId ?? CHAIN;
  return signAnnouncement(crypto, changes.seed ?? SEED, { chainId, node: NODE, sequence, address });
}

function refusalOf(work: () => unknown): number | null {
  try {
    work();
    return null;
  } catch (error) {
    if (!isPeerRefusal(error)) throw error;
    return error.code;
  }
}

test('the newest counts, whatever the order', () => {
  const book = new AddressBook(crypto, CHAIN);
  const node = hex(NODE);
  expect(book.take(announce(5, 'a.example:1'), all)).toBe(node);
  expect(book.take(announce(4, 'b.example:1'), all)).toBeNull();
  expect(book.take(announce(5, 'c.example:1'), all)).toBeNull();
  expect(book.get(node)?.address).toBe('a.example:1');
  expect(book.take(announce(6, '[2001:db8::1]:5433'), all)).toBe(node);
  expect(book.get(node)?.address).toBe('[2001:db8::1]:5433');
  book.forget(node);
  expect(book.get(node)).toBeUndefined();
});

test('of no interest: a node that is not wanted, and its signature is not looked at', () => {
  const book = new AddressBook({ ...crypto, verify: () => expect(0).toBe(1) as never }, CHAIN);
  expect(book.take(announce(5, 'a.example:1'), () => false)).toBeNull();
});

test('refused: forged, of another chain, no address', () => {
  const book = new AddressBook(crypto, CHAIN);
  const forged = announce(9, 'evil.example:1', { seed: new Uint8Array(32).fill(2) });
  expect(refusalOf(() => book.take(forged, all))).toBe(CLOSE.proof);
  const foreign = announce(9, 'a.example:1', { chainId: new Uint8Array(32) });
  expect(refusalOf(() => book.take(foreign, all))).toBe(CLOSE.chain);
  for (const address of [
    'a.example',
    'a.example:0',
    'a.example:65536',
    'http://a:1',
    'a b:1',
    '::1:80',
  ]) {
    expect(() => announce(9, address)).toThrow('is no address');
  }
  expect(refusalOf(() => book.take(new Uint8Array(600), all))).toBe(CLOSE.protocol);
  expect([...book.entries()]).toEqual([]);
});

test('a changed byte is never taken', () => {
  const random = new Random(5);
  const good = announce(9, 'a.example:1');
  for (let round = 0; round < 500; round++) {
    const book = new AddressBook(crypto, CHAIN);
    const bytes = good.slice(0, random.below(4) === 0 ? random.below(good.length) : good.length);
    if (bytes.length === good.length) bytes[random.below(bytes.length)]! ^= 1 + random.below(255);
    expect(refusalOf(() => book.take(bytes, all))).not.toBeNull();
  }
});
