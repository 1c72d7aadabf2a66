// Merkle trees against the well-known vectors of Certificate Transparency, and against their definition.

import { describe, expect, test } from '@jest/globals';
import { concat, equal, fromHex, hex } from '../../../ledger/bytes.ts';
import { leafHash, nodeHash } from '../../../ledger/hash.ts';
import {
  consistencyPath,
  HistoryTree,
  inclusionPath,
  nodesOf,
  verifyConsistency,
  verifyInclusion,
} from '../../../ledger/history-tree.ts';
import {
  emptyRoot,
  merklePath,
  merkleRoot,
  packedMerkleRoot,
  verifyMerklePath,
} from '../../../ledger/merkle.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';

/** Entries and roots of the reference tree of Certificate Transparency (RFC 6962 §2.1.3 has its shape). */
const ENTRIES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map(fromHex);
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const SIZES = 40;
const headerAt = (height: number) => crypto.sha256(Uint8Array.of(height));
const leaves = (count: number) =>
  Array.from({ length: count }, (_, at) => leafHash(crypto, headerAt(at)));

/** The definition of RFC 9162 §2.1.1, word by word. */
function definedRoot(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return crypto.sha256(new Uint8Array(0));
  if (hashes.length === 1) return hashes[0]!;
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return nodeHash(crypto, definedRoot(hashes.slice(0, k)), definedRoot(hashes.slice(k)));
}

test.each(ROOTS.map((root, size) => ({ root, size })))(
  'root of $size entries',
  ({ root, size }) => {
    const hashes = ENTRIES.slice(0, size).map((entry) => leafHash(crypto, entry));
    const tree = new HistoryTree(crypto);
    for (const entry of ENTRIES.slice(0, size)) tree.append(entry);
    expect(hex(merkleRoot(crypto, hashes))).toBe(root);
    expect(hex(tree.root())).toBe(root);
  },
);

test('roots are those of the definition', () => {
  const tree = new HistoryTree(crypto);
  for (let size = 0; size < SIZES; size++) {
    expect(hex(merkleRoot(crypto, leaves(size)))).toBe(hex(definedRoot(leaves(size))));
    expect(hex(tree.root())).toBe(hex(definedRoot(leaves(size))));
    tree.append(headerAt(size));
  }
});

describe('paths', () => {
  test('every leaf is found, and no other leaf, place, count or root', () => {
    for (let count = 1; count < SIZES; count++) {
      const hashes = leaves(count);
      const root = merkleRoot(crypto, hashes);
      for (let index = 0; index < count; index++) {
        const path = merklePath(crypto, hashes, index);
        const verify = (at: number, of: number, leaf = hashes[index]!) =>
          verifyMerklePath(crypto, leaf, at, of, path, root);
        expect(verify(index, count)).toBe(true);
        expect(verify(index, count, leafHash(crypto, Uint8Array.of(count, index)))).toBe(false);
        expect(verify(index, index)).toBe(false);
        for (let other = 0; other < count; other++) {
          if (other !== index) expect(verify(other, count)).toBe(false);
        }
        expect(verifyMerklePath(crypto, hashes[index]!, index, count, [...path, root], root)).toBe(
          false,
        );
        if (path.length > 0) {
          expect(verifyMerklePath(crypto, hashes[index]!, index, count, path.slice(1), root)).toBe(
            false,
          );
        }
      }
    }
  });

  test('a hash of another length is refused', () => {
    const [a, b] = leaves(2) as [Uint8Array, Uint8Array];
    const root = merkleRoot(crypto, [a, b]);
    for (const sibling of [b.subarray(0, 31), new Uint8Array(33), new Uint8Array(0)]) {
      expect(verifyMerklePath(crypto, a, 0, 2, [sibling], root)).toBe(false);
    }
    expect(verifyMerklePath(crypto, a.subarray(1), 0, 2, [b], root)).toBe(false);
  });

  test('impossible numbers are refused', () => {
    const [leaf] = leaves(1) as [Uint8Array];
    for (const [index, count] of [
      [-1, 1],
      [0, 0],
      [1, 1],
      [0.5, 1],
      [NaN, 1],
      [0, Infinity],
    ] as const) {
      expect(verifyMerklePath(crypto, leaf, index, count, [], leaf)).toBe(false);
    }
  });

  test('of the history tree are those of the whole tree', () => {
    const nodeAt = nodesOf(crypto, headerAt);
    for (let size = 1; size < SIZES; size++) {
      const root = merkleRoot(crypto, leaves(size));
      for (let index = 0; index < size; index++) {
        const path = inclusionPath(crypto, nodeAt, index, size);
        expect(path.map(hex)).toEqual(merklePath(crypto, leaves(size), index).map(hex));
        expect(verifyInclusion(crypto, headerAt(index), index, size, path, root)).toBe(true);
      }
    }
  });
});

test('consistency holds between any two sizes of one tree, and between no others', () => {
  const nodeAt = nodesOf(crypto, headerAt);
  const roots = Array.from({ length: SIZES }, (_, size) => merkleRoot(crypto, leaves(size)));
  const wrong = crypto.sha256(Uint8Array.of(1, 2, 3));
  for (let to = 0; to < SIZES; to++) {
    for (let from = 0; from <= to; from++) {
      const path = consistencyPath(crypto, nodeAt, from, to);
      const verify = (a: number, rootA: Uint8Array, rootB: Uint8Array, hashes = path) =>
        verifyConsistency(crypto, a, rootA, to, rootB, hashes);
      expect(verify(from, roots[from]!, roots[to]!)).toBe(true);
      expect(verify(from, wrong, roots[to]!)).toBe(false);
      if (from > 0) expect(verify(from, roots[from]!, wrong)).toBe(false);
      expect(verify(from, roots[from]!, roots[to]!, [...path, wrong])).toBe(false);
      if (path.length > 0)
        expect(verify(from, roots[from]!, roots[to]!, path.slice(1))).toBe(false);
      for (let other = 1; other <= to; other++) {
        if (other !== from) expect(verify(other, roots[from]!, roots[to]!)).toBe(false);
      }
    }
  }
});

test('the history tree goes on from its frontier', () => {
  let tree = new HistoryTree(crypto);
  for (let size = 0; size < SIZES; size++) {
    expect(equal(tree.root(), merkleRoot(crypto, leaves(size)))).toBe(true);
    tree = HistoryTree.restore(crypto, tree.size, tree.serialise());
    tree.append(headerAt(size));
  }
  expect(() => HistoryTree.restore(crypto, 3, new Uint8Array(32))).toThrow('frontier');
  expect(hex(new HistoryTree(crypto).root())).toBe(hex(emptyRoot(crypto)));
});

test('hashes back to back have the root that they have one by one, and stay as they are', () => {
  for (let count = 0; count < SIZES; count++) {
    const packed = concat(...leaves(count));
    expect(packedMerkleRoot(crypto, packed)).toEqual(merkleRoot(crypto, leaves(count)));
    expect(packed).toEqual(concat(...leaves(count)));
  }
});
