// Proof bundles and checkpoints: what is sound is proven, and no change of any byte proves anything else.

import { describe, expect, test } from '@jest/globals';
import { base64, hex } from '../../../ledger/bytes.ts';
import { makeCheckpoint, parseCheckpoint, signersOf } from '../../../ledger/checkpoint.ts';
import {
  encodeGenesis,
  encodeReceipt,
  decodeReceipt,
  encodeRowVersion,
  decodeRowVersion,
  eraseText,
} from '../../../ledger/encoding.ts';
import { isFormatError } from '../../../ledger/error.ts';
import { HistoryTree } from '../../../ledger/history-tree.ts';
import { nobleCrypto } from '../../../ledger/noble-crypto.ts';
import type { RowProof } from '../../../ledger/proof.ts';
import type { ProofTrust, Verdict } from '../../../ledger/proof-check.ts';
import { checkProof } from '../../../ledger/proof-check.ts';
import { formatProof, parseProof } from '../../../ledger/proof-json.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';
import { ALICE_SEED, makeChain, makeProof, NODE_SEED } from './chain-fixture.ts';

const chain = makeChain(crypto);
const proof = makeProof(crypto, chain);
const nodeKey = crypto.publicKeyOf(NODE_SEED);
const trust: ProofTrust = { nodeKeys: [nodeKey] };

/** What a verdict proves, comparable; its failure if it proves nothing. */
function proven(verdict: Verdict): unknown {
  const shown = verdict.valid
    ? { row: verdict.row, transaction: verdict.transaction, anchor: verdict.anchor }
    : verdict;
  return JSON.parse(
    JSON.stringify(shown, (_name, value: unknown) =>
      typeof value === 'bigint'
        ? `${value}`
        : ArrayBuffer.isView(value)
          ? [...(value as Uint8Array)]
          : value,
    ),
  );
}

function stepOf(changed: RowProof, given = trust): string {
  const verdict = checkProof(crypto, changed, given);
  return verdict.valid ? 'valid' : verdict.step;
}

test.each([
  ['native', crypto],
  ['noble', nobleCrypto],
])('a sound bundle is proven by %s crypto', (_name, given) => {
  const verdict = checkProof(given, parseProof(formatProof(proof)), trust);
  if (!verdict.valid) throw new Error(`${verdict.step}: ${verdict.message}`);
  expect(verdict.row.table).toBe('accounts');
  expect(verdict.row.columns.map(({ name, value }) => [name, value])).toEqual([
    ['id', 2n],
    ['owner', 'bob'],
    ['balance', 3_500n],
  ]);
  expect(verdict.transaction).toMatchObject({
    height: 3,
    position: 0,
    author: 100,
    authorName: 'alice',
    custody: 'own',
    text: 'update accounts …',
  });
  expect(hex(verdict.transaction.publicKey!)).toBe(hex(crypto.publicKeyOf(ALICE_SEED)));
  expect(verdict.anchor).toMatchObject({ height: 5, checkpointSize: null });
  expect(verdict.steps.map(({ step }) => step)).toEqual([
    'anchor',
    'anchor',
    'headers',
    'transaction',
    'row',
    'table',
    'author',
  ]);
});

describe('trust', () => {
  test('another node key, another chain, more signatures than there are', () => {
    expect(stepOf(proof, { nodeKeys: [crypto.publicKeyOf(ALICE_SEED)] })).toBe('anchor');
    expect(stepOf(proof, { nodeKeys: [] })).toBe('anchor');
    expect(stepOf(proof, { nodeKeys: [], signaturesMin: 0 })).toBe('anchor');
    expect(stepOf(proof, { ...trust, chainId: new Uint8Array(32) })).toBe('anchor');
    expect(stepOf(proof, { ...trust, chainId: chain.chainId })).toBe('valid');
    expect(stepOf(proof, { ...trust, signaturesMin: 2 })).toBe('anchor');
    expect(stepOf(proof, { nodeKeys: [nodeKey, nodeKey, nodeKey], signaturesMin: 2 })).toBe(
      'anchor',
    );
  });

  test('the chain id alone stands for the members, if the bundle shows who they are', () => {
    const alone = { nodeKeys: [], chainId: chain.chainId };
    const verdict = checkProof(crypto, proof, alone);
    expect(verdict.valid && verdict.anchor.signers).toEqual([nodeKey]);
    expect(stepOf({ ...proof, epochs: null }, alone)).toBe('anchor');
    expect(stepOf({ ...proof, epochs: null })).toBe('valid');
    const genesis = encodeGenesis({ ...chain.genesis, createdMs: 0 });
    expect(stepOf({ ...proof, epochs: { genesis, barriers: [] } }, alone)).toBe('anchor');
  });

  test('names and custody are left out when their definitions are', () => {
    const verdict = checkProof(crypto, { ...proof, table: null, author: null }, trust);
    if (!verdict.valid) throw new Error(verdict.message);
    expect(verdict.row.table).toBeNull();
    expect(verdict.row.columns[1]).toEqual({ id: 2, name: null, type: null, value: 'bob' });
    expect(verdict.transaction).toMatchObject({ authorName: null, custody: null, publicKey: null });
  });

  test('an author of genesis is proven by the genesis record', () => {
    const record = { kind: 'genesis', record: chain.genesisBytes } as const;
    // Alice is no role of genesis, and no other record has the chain's id.
    expect(stepOf({ ...proof, author: record })).toBe('author');
    const forged = { kind: 'genesis', record: chain.genesisBytes.slice(1) } as const;
    expect(stepOf({ ...proof, author: forged })).toBe('author');
  });

  test('an erased statement text proves the rest', () => {
    const transaction = eraseText(proof.transaction.transaction);
    const erased = { ...proof, transaction: { ...proof.transaction, transaction } };
    const verdict = checkProof(crypto, erased, trust);
    expect(verdict.valid && verdict.transaction.text).toBeNull();
  });
});

describe('forgeries are named', () => {
  const { transaction } = proof;

  test('another value, another receipt, another row of the same transaction', () => {
    const version = decodeRowVersion(proof.row);
    const row = encodeRowVersion({ ...version, values: [2n, 'bob', 999_999n] });
    expect(stepOf({ ...proof, row })).toBe('row');
    expect(stepOf({ ...proof, row: chain.versions[3]![0]![0]! })).toBe('row');
    const receipt = encodeReceipt({ ...decodeReceipt(transaction.receipt), versionCount: 3 });
    expect(stepOf({ ...proof, transaction: { ...transaction, receipt } })).toBe('transaction');
  });

  test('headers left out, put elsewhere or of another height', () => {
    expect(stepOf({ ...proof, headers: [] })).toBe('transaction');
    const [first, second] = proof.headers as [
      RowProof['headers'][number],
      RowProof['headers'][number],
    ];
    const swapped = [{ ...first, siblings: second.siblings }, ...proof.headers.slice(1)];
    expect(stepOf({ ...proof, headers: swapped })).toBe('headers');
    expect(stepOf({ ...proof, transaction: { ...transaction, executedIn: 2 } })).toBe(
      'transaction',
    );
    expect(stepOf({ ...proof, transaction: { ...transaction, height: 2 } })).toBe('transaction');
  });

  test('a definition that is of something else', () => {
    const elsewhere = { kind: 'transaction', proof: transaction } as const;
    expect(stepOf({ ...proof, table: elsewhere })).toBe('table');
    expect(stepOf({ ...proof, author: elsewhere })).toBe('author');
  });
});

/** Every byte string of a bundle, by a function that gives the bundle with another in its place. */
function byteStrings(
  value: unknown,
  put: (changed: unknown) => unknown,
): {
  readonly bytes: Uint8Array;
  readonly put: (changed: Uint8Array) => RowProof;
}[] {
  if (ArrayBuffer.isView(value)) {
    return [{ bytes: value as Uint8Array, put: put as (changed: Uint8Array) => RowProof }];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, entry]) =>
    byteStrings(entry, (changed) => {
      const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
      (copy as Record<string, unknown>)[name] = changed;
      return put(copy);
    }),
  );
}

describe('no change of one byte', () => {
  const sound = proven(checkProof(crypto, proof, trust));

  test('of what the bundle holds proves anything else', () => {
    let checked = 0;
    for (const { bytes, put } of byteStrings(proof, (changed) => changed)) {
      for (let at = 0; at < bytes.length; at++) {
        const damaged = Uint8Array.from(bytes);
        damaged[at]! ^= 1 << (at % 8);
        const verdict = checkProof(crypto, put(damaged), trust);
        if (verdict.valid) expect(proven(verdict)).toEqual(sound);
        checked++;
      }
    }
    expect(checked).toBeGreaterThan(3_000);
  });

  test('of its JSON text proves anything else, or ends in anything but a verdict or a FormatError', () => {
    const text = formatProof(proof);
    const replacements = ['0', '9', 'A', '"', ' ', '}', '-', ''];
    for (let at = 0; at < text.length; at += 3) {
      const damaged =
        text.slice(0, at) + replacements[at % replacements.length]! + text.slice(at + 1);
      let parsed: RowProof;
      try {
        parsed = parseProof(damaged);
      } catch (error) {
        if (!isFormatError(error)) throw error;
        continue;
      }
      const verdict = checkProof(crypto, parsed, trust);
      if (verdict.valid) expect(proven(verdict)).toEqual(sound);
    }
  });
});

describe('JSON', () => {
  test('comes back as it was', () => {
    const text = formatProof(proof);
    expect(formatProof(parseProof(text))).toBe(text);
  });

  test.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['another format', '{"format":"x"}'],
    ['null', 'null'],
  ])('%s is refused', (_name, text) => {
    expect(() => parseProof(text)).toThrow(expect.objectContaining({ name: 'FormatError' }));
  });

  test('unknown and missing members and other versions are refused', () => {
    const value = JSON.parse(formatProof(proof)) as Record<string, unknown>;
    const text = (changes: object) => JSON.stringify({ ...value, ...changes });
    expect(() => parseProof(text({ note: 1 }))).toThrow('.note: no such member');
    expect(() => parseProof(text({ version: 1 }))).toThrow('.version: 3 expected');
    expect(() => parseProof(text({ row: 'A===' }))).toThrow('.row: base64 expected');
    expect(() => parseProof(text({ row: undefined }))).toThrow('.row');
    expect(() => parseProof(text({ headers: {} }))).toThrow('.headers: array expected');
  });
});

describe('checkpoints', () => {
  function treeOf(size: number): HistoryTree {
    const tree = new HistoryTree(crypto);
    for (const hash of chain.hashes.slice(0, size)) tree.append(hash);
    return tree;
  }
  const note = (size: number, seed = NODE_SEED) =>
    makeCheckpoint(crypto, chain.chainId, size, treeOf(size).root(), seed);

  test('come back as they were, and say who signed', () => {
    const checkpoint = parseCheckpoint(note(6));
    expect(checkpoint.size).toBe(6);
    expect(hex(checkpoint.root)).toBe(hex(chain.history.root()));
    expect(hex(checkpoint.chainId)).toBe(hex(chain.chainId));
    expect(signersOf(crypto, checkpoint, [crypto.publicKeyOf(ALICE_SEED), nodeKey])).toEqual([
      nodeKey,
    ]);
  });

  test('may carry cosignatures of witnesses', () => {
    const cosigned = `${note(6)}\u2014 witness.example/w1 ${base64(new Uint8Array(76).fill(4))}\n`;
    const checkpoint = parseCheckpoint(cosigned);
    expect(checkpoint.signatures).toHaveLength(2);
    expect(signersOf(crypto, checkpoint, [nodeKey])).toEqual([nodeKey]);
  });

  test('that are changed are not signed', () => {
    const changed = note(6).replace('\n6\n', '\n7\n');
    expect(signersOf(crypto, parseCheckpoint(changed), [nodeKey])).toEqual([]);
  });

  test.each([
    ['nothing', () => ''],
    ['no signature', () => note(6).split('\n\n')[0]!],
    ['a size with a zero before it', () => note(6).replace('\n6\n', '\n06\n')],
    ['another origin', () => note(6).replace('trustsql/', 'trust/')],
    ['a short root', () => note(6).replace(/\n[^\n]{44}\n\n/, '\nAAAA\n\n')],
    ['a malformed signature', () => note(6).replace('\u2014 ', '\u2014  ')],
    ['no line end', () => note(6).slice(0, -1)],
  ])('%s is refused', (_name, make) => {
    expect(() => parseCheckpoint(make())).toThrow(expect.objectContaining({ name: 'FormatError' }));
  });

  test('older, equal and newer than the anchor, bind the chain of a bundle', () => {
    for (const size of [0, 1, 2, 3, 4, 5, 6]) {
      const bundle = makeProof(crypto, chain, size);
      const verdict = checkProof(crypto, bundle, { ...trust, checkpoint: note(size) });
      expect(verdict.valid && verdict.anchor.checkpointSize).toBe(size);
      const other = makeCheckpoint(crypto, chain.chainId, size, new Uint8Array(32), NODE_SEED);
      expect(stepOf(bundle, { ...trust, checkpoint: other })).toBe('checkpoint');
      expect(stepOf(bundle, { ...trust, checkpoint: note(size, ALICE_SEED) })).toBe('checkpoint');
    }
    expect(stepOf(proof, { ...trust, checkpoint: note(3) })).toBe('checkpoint');
    expect(stepOf(proof, { ...trust, checkpoint: 'x' })).toBe('checkpoint');
  });
});
