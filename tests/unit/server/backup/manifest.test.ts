// The list of a backup: what was changed in it is found, and no name in it leads out of its folders.

import { expect, test } from '@jest/globals';
import { decodeManifest, encodeManifest, nameWith } from '../../../../server/backup/manifest.ts';
import type { Manifest } from '../../../../server/backup/manifest.ts';

const HASH = 'ab'.repeat(32);
const MANIFEST: Manifest = {
  chainId: HASH,
  height: 9,
  headerHash: HASH,
  nodeKey: HASH,
  time: '2026-01-02T03:04:05.678Z',
  blocks: [
    { name: nameWith('blocks-000000000000.sqlite', HASH), bytes: 5, sha256: HASH, from: 0, to: 6 },
    { name: nameWith('blocks-000000000007.sqlite', HASH), bytes: 5, sha256: HASH, from: 7, to: 9 },
  ],
  secrets: [
    { name: nameWith('node.key', HASH), bytes: 0, sha256: HASH, path: 'keys/node.key' },
    { name: nameWith('identity.sqlite', HASH), bytes: 3, sha256: HASH, path: 'identity.sqlite' },
  ],
};

const read = (text: string): Manifest => decodeManifest(text, 'backup.json');

test('is read as it was written', () => {
  expect(read(encodeManifest(MANIFEST))).toMatchObject(MANIFEST);
});

test('every change of a byte is found', () => {
  const text = encodeManifest(MANIFEST);
  for (let at = 0; at < text.length; at++) {
    const changed = String.fromCharCode(text.charCodeAt(at) ^ 1);
    const edited = text.slice(0, at) + changed + text.slice(at + 1);
    expect(() => read(edited)).toThrow(/^backup\.json: /);
  }
  for (let end = 0; end < text.length; end += 7) {
    expect(() => read(text.slice(0, end))).toThrow(/^backup\.json: /);
  }
});

test('of another program or version is refused as such', () => {
  const version = { format: 'trustsql backup', version: 2 };
  expect(() => read(JSON.stringify(version))).toThrow('version 2 is not 1');
  expect(() => read('{"format":"x"}')).toThrow('not a file of the format "trustsql backup"');
});

test.each<[string, Partial<Manifest>]>([
  ['a gap between files', { blocks: [MANIFEST.blocks[0]!, { ...MANIFEST.blocks[1]!, from: 8 }] }],
  ['blocks that are in two files', { blocks: [MANIFEST.blocks[0]!, ...MANIFEST.blocks] }],
  ['a file less than its height', { height: 10 }],
  ['no file', { blocks: [] }],
  ['a height that is none', { height: -1, blocks: [] }],
  ['a hash that is none', { headerHash: 'AB' }],
  ['a name that leads away', { blocks: [{ ...MANIFEST.blocks[0]!, name: '../x', to: 9 }] }],
  ['a name that is hidden', { blocks: [{ ...MANIFEST.blocks[0]!, name: '.x', to: 9 }] }],
  ['a secret for elsewhere', { secrets: [{ ...MANIFEST.secrets[0]!, path: 'keys/../admin.url' }] }],
  ['a vote log', { secrets: [{ ...MANIFEST.secrets[0]!, path: 'consensus/votes-0' }] }],
])('is refused with %s, also with the right hash of itself', (_, change) => {
  expect(() => read(encodeManifest({ ...MANIFEST, ...change }))).toThrow('was changed');
});
