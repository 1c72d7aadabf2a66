// Proofs and digests of a cluster: taken from one node, checked with what any other organisation knows.

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { decodeCertificate, encodeCertificate } from '../../ledger/encoding-vote.ts';
import { checkProof } from '../../ledger/proof-check.ts';
import { parseProof } from '../../ledger/proof-json.ts';
import type { RowProof } from '../../ledger/proof.ts';
import type { VoteCertificate } from '../../ledger/vote.ts';
import { nativeCrypto as crypto } from '../../storage/native-crypto.ts';
import { ClusterProcess, query } from './cluster-process.ts';
import { trustsql } from './process.ts';

const TIMEOUT_MS = 300_000;

let cluster: ClusterProcess;
let chainId = '';
let keys: string[] = [];

beforeAll(async () => {
  cluster = await ClusterProcess.start(4, 'adaptive');
  const [first, second] = cluster.nodes;
  await query(first!, 'CREATE TABLE account (id int PRIMARY KEY, balance numeric(12,2))');
  await cluster.agreed();
  await query(second!, 'INSERT INTO account VALUES (1, 100), (2, 50)');
  const [chain] = await query(first!, `SELECT encode(chain_id, 'hex') AS id FROM ledger.chain`);
  chainId = String(chain!['id']);
  const nodes = `SELECT encode(public_key, 'hex') AS key FROM ledger.nodes ORDER BY member`;
  keys = (await query(first!, nodes)).map(({ key }) => String(key));
  await cluster.agreed();
}, TIMEOUT_MS);

afterAll(() => cluster[Symbol.asyncDispose]());

const file = (name: string): string => path.join(cluster.directory, name);

async function exported(node: number, key: string, name: string): Promise<RowProof> {
  const url = await cluster.nodes[node]!.adminUrl();
  const out = ['--url', url, '-o', file(name)];
  expect(await trustsql('proof', 'export', 'account', key, ...out)).toMatchObject({ code: 0 });
  return parseProof(readFileSync(file(name), 'utf8'));
}

test(
  'a row of any node is proven to whoever knows the chain, or most of the keys',
  async () => {
    for (const node of [0, 3]) {
      await exported(node, '1', 'bundle.json');
      const check = (...trust: string[]) =>
        trustsql('proof', 'check', file('bundle.json'), ...trust);
      const { code, stdout } = await check('--chain-id', chainId);
      expect(stdout).toContain('balance = 100.00');
      expect(stdout).toContain('is confirmed by a quorum of the 4 members of epoch 0');
      expect(code).toBe(0);
      expect(await check('--node-key', ...keys)).toMatchObject({ code: 0 });
      expect(await check('--chain-id', chainId, '--node-key', ...keys)).toMatchObject({ code: 0 });
      const { stdout: other } = await check('--chain-id', 'ab'.repeat(32));
      expect(other).toContain('NOT PROVEN (anchor): the bundle is about another chain');
      expect(await check('--node-key', 'ab'.repeat(32))).toMatchObject({ code: 1 });
      expect(await check()).toMatchObject({ code: 2 });
    }
  },
  TIMEOUT_MS,
);

test(
  'a certificate that a quorum has not made proves nothing',
  async () => {
    const proof = await exported(2, '2', 'forged.json');
    const certificate = decodeCertificate(proof.anchor.certificate) as VoteCertificate;
    const { signatures, epoch, hash } = certificate;
    expect(signatures).toHaveLength(3);
    const nodeKeys = keys.map((key) => Buffer.from(key, 'hex'));
    const messages = (changes: Partial<VoteCertificate>): string[] => {
      const forged = encodeCertificate({ ...certificate, ...changes });
      const anchor = { ...proof.anchor, certificate: forged };
      return [{ nodeKeys: [], chainId: Buffer.from(chainId, 'hex') }, { nodeKeys }].map((trust) => {
        const verdict = checkProof(crypto, { ...proof, anchor }, trust);
        return verdict.valid ? 'valid' : `${verdict.step}: ${verdict.message}`;
      });
    };
    expect(messages({})).toEqual(['valid', 'valid']);
    const refusal = 'anchor: the anchor is not confirmed: ';
    const all = (message: string): string[] => [message, message];
    expect(messages({ signatures: signatures.slice(1) })).toEqual(
      all(`${refusal}2 signatures, 3 needed`),
    );
    // The vote of one member in the name of two.
    const [a, b, c] = signatures;
    const absent = [0, 1, 2, 3].find((member) =>
      signatures.every((each) => each.member !== member),
    )!;
    const twice = [a!, b!, { ...b!, member: absent }].sort((x, y) => x.member - y.member);
    expect(messages({ signatures: twice })).toEqual(
      all(`${refusal}signature of member ${absent} is not valid`),
    );
    expect(messages({ epoch: epoch + 1 })).toEqual(all(`${refusal}certificate of another epoch`));
    const other = Uint8Array.from(hash, (byte) => byte ^ 1);
    expect(messages({ hash: other })).toEqual(all(`${refusal}certificate of another block`));
    expect(messages({ signatures: [a!, b!, { ...c!, signature: a!.signature }] })).toEqual(
      all(`${refusal}signature of member ${c!.member} is not valid`),
    );
    // Sound votes, under a header that they were not cast for.
    const { header } = proof.headers[0]!;
    const moved = { ...proof, anchor: { ...proof.anchor, header } };
    expect(checkProof(crypto, moved, { nodeKeys })).toMatchObject({
      message: `${refusal.replace('anchor: ', '')}the certificate is of a later block`,
    });
  },
  TIMEOUT_MS,
);

test(
  'a digest of one node is what every other node has',
  async () => {
    const [first] = cluster.nodes;
    const [row] = await query(first!, 'SELECT ledger.digest() AS digest');
    writeFileSync(file('digest.txt'), String(row!['digest']));
    await query(cluster.nodes[1]!, 'INSERT INTO account VALUES (3, 7)');
    await cluster.agreed();
    for (const node of cluster.nodes.slice(1)) {
      const { code, stdout } = await node.verify(
        '--digest',
        file('digest.txt'),
        '--chain-id',
        chainId,
      );
      expect(stdout).toContain(`(signed by ${keys[0]}) matches`);
      expect(code).toBe(0);
    }
  },
  TIMEOUT_MS,
);
