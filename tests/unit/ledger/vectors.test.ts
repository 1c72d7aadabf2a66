// The published vectors of the formats: they never change within a format version, and the documents show
// them byte by byte. `REWRITE=1` writes the files anew; the diff is the review.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { hex } from '../../../ledger/bytes.ts';
import { makeCheckpoint } from '../../../ledger/checkpoint.ts';
import type { Crypto } from '../../../ledger/crypto.ts';
import {
  coreOf,
  decodeTransaction,
  encodeBody,
  encodeBundle,
  encodeHeader,
  encodeOperations,
  transactionIdOf,
} from '../../../ledger/encoding.ts';
import { encodeQuestion } from '../../../ledger/encoding-repair.ts';
import { encodeCertificate, encodeVote } from '../../../ledger/encoding-vote.ts';
import {
  bodyHash,
  headerHash,
  partCommitment,
  receiptHash,
  rowVersionHash,
} from '../../../ledger/hash.ts';
import { merkleRoot } from '../../../ledger/merkle.ts';
import { stampOf } from '../../../ledger/operation.ts';
import { nobleCrypto } from '../../../ledger/noble-crypto.ts';
import { checkProof } from '../../../ledger/proof-check.ts';
import { formatProof, parseProof } from '../../../ledger/proof-json.ts';
import { bundleMessage, headerMessage, signVote, voteMessage } from '../../../ledger/signing.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { makeChain, makeProof, NODE_SEED } from './chain-fixture.ts';

const ROOT = new URL('../../../', import.meta.url);
const FORMATS = new URL('tests/vectors/formats.json', ROOT);
const PROOF = new URL('tests/vectors/proof.json', ROOT);
const DOCUMENTS = new URL('docs/formats/', ROOT);

function vectors(crypto: Crypto): Record<string, string> {
  const chain = makeChain(crypto);
  const block = chain.blocks[2]!;
  const bundle = block.bundles[1]!;
  const transaction = bundle.transactions[0]!;
  const id = transactionIdOf(crypto, transaction);
  const text = decodeTransaction(transaction).text!;
  const header = encodeHeader(block.header);
  const receipt = chain.receipts[2]![2]!;
  const version = chain.versions[2]![2]![0]!;
  const ballot = { epoch: 1, term: 5, mode: 'raft', height: 2, hash: chain.hashes[2]! } as const;
  const vote = signVote(crypto, NODE_SEED, chain.chainId, { kind: 'ack', member: 3, ...ballot });
  const from = { last: 1n, called: false };
  const reservation = { kind: 'sequence', sequence: 106, from, last: 32n, called: true } as const;
  const leaves = [rowVersionHash(crypto, version)];
  const question = { kind: 'versions', from: stampOf(1, 0), to: stampOf(2, 0), leaves } as const;
  const entries: [string, Uint8Array][] = [
    ['genesis', chain.genesisBytes],
    ['chain id', chain.chainId],
    ['transaction', transaction],
    ['transaction core', coreOf(transaction)],
    ['transaction id', id],
    ['text commitment', partCommitment(crypto, text.salt, text.value)],
    ['bundle', encodeBundle(bundle)],
    ['bundle message', bundleMessage(chain.chainId, bundle.publicKey, 1, merkleRoot(crypto, [id]))],
    ['body hash', bodyHash(crypto, encodeBody(block))],
    ['transactions root', block.header.transactionsRoot],
    ['header', header],
    ['header hash', headerHash(crypto, header)],
    ['header message', headerMessage(chain.chainId, headerHash(crypto, header))],
    ['certificate', encodeCertificate(block.certificate)],
    ['vote message', voteMessage(chain.chainId, vote)],
    ['vote', encodeVote(vote)],
    ['vote certificate', encodeCertificate({ ...vote, kind: 'fast', signatures: [vote] })],
    ['receipt', receipt],
    ['receipt hash', receiptHash(crypto, receipt)],
    ['sequence operations', encodeOperations([reservation])],
    ['row version', version],
    ['row version hash', rowVersionHash(crypto, version)],
    ['history root', chain.history.root()],
    ['repair question', encodeQuestion(question)],
  ];
  const checkpoint = makeCheckpoint(crypto, chain.chainId, 6, chain.history.root(), NODE_SEED);
  return {
    ...Object.fromEntries(entries.map(([name, bytes]) => [name, hex(bytes)])),
    checkpoint,
  };
}

if (process.env['REWRITE'] === '1') {
  writeFileSync(FORMATS, `${JSON.stringify(vectors(nativeCrypto), null, 2)}\n`);
  writeFileSync(PROOF, formatProof(makeProof(nativeCrypto, makeChain(nativeCrypto))));
}

const published = JSON.parse(readFileSync(FORMATS, 'utf8')) as Record<string, string>;

test.each([
  ['native', nativeCrypto],
  ['noble', nobleCrypto],
])('%s crypto gives the published vectors', (_name, crypto) => {
  expect(vectors(crypto)).toEqual(published);
});

test('the published proof is made as it was, and proven', () => {
  const text = readFileSync(PROOF, 'utf8');
  expect(formatProof(makeProof(nativeCrypto, makeChain(nativeCrypto)))).toBe(text);
  const trust = { nodeKeys: [nativeCrypto.publicKeyOf(NODE_SEED)] };
  expect(checkProof(nobleCrypto, parseProof(text), trust).valid).toBe(true);
});

describe('documents', () => {
  const shown = readdirSync(DOCUMENTS)
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) => {
      const text = readFileSync(new URL(name, DOCUMENTS), 'utf8');
      const blocks = text.matchAll(/^```text vector: (.+)\n([^]*?)^```$/gm);
      return [...blocks].map(([, vector, body]) => ({ name, vector: vector!, body: body! }));
    });

  test.each(shown)('$name shows the vector "$vector" as it is', ({ vector, body }) => {
    // A checkpoint is text; everything else is bytes, with remarks after a semicolon.
    const bytes = body.replace(/;.*$/gm, '').replace(/\s/g, '');
    expect(vector === 'checkpoint' ? body : bytes).toBe(published[vector]);
  });

  test('show every record', () => {
    const names = new Set(shown.map(({ vector }) => vector));
    for (const record of ['transaction', 'header', 'certificate', 'receipt', 'row version']) {
      expect([...names]).toContain(record);
    }
  });
});
