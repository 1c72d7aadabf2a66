// A proof taken from a node and checked without it, with nothing but the node's public key.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { CHROMIUM, inBrowser } from './browser.ts';
import { NodeProcess, trustsql, type Finished } from './process.ts';

const TIMEOUT_MS = 120_000;

describe('a proof', () => {
  let node: NodeProcess;
  let nodeKey = '';
  let url = '';
  beforeAll(async () => {
    node = await NodeProcess.start();
    url = await node.adminUrl();
    const client = new pg.Client({ connectionString: await node.clearUrl() });
    await client.connect();
    await client.query(
      'CREATE TABLE account (id int PRIMARY KEY, owner text, balance numeric(12,2))',
    );
    await client.query(`INSERT INTO account VALUES (1, 'ann', 100), (2, 'bob', 50)`);
    await client.query('UPDATE account SET balance = balance - 30 WHERE id = 1');
    const { rows } = await client.query(
      `SELECT encode(public_key, 'hex') AS key FROM ledger.nodes`,
    );
    nodeKey = rows[0].key;
    await client.end();
  }, TIMEOUT_MS);
  afterAll(() => node[Symbol.asyncDispose]());

  const file = (name: string): string => path.join(node.directory, name);
  const exportProof = (key: string, name: string): Promise<Finished> =>
    trustsql(
      'proof',
      'export',
      'account',
      key,
      '--url',
      url,
      '--data',
      node.data,
      '-o',
      file(name),
    );
  const check = (name: string, key = nodeKey): Promise<Finished> =>
    trustsql('proof', 'check', file(name), '--node-key', key);

  test(
    'stands on a digest, which can be had as JSON beside what it says',
    async () => {
      const { code, stdout } = await trustsql(
        'digest',
        '--url',
        url,
        '--data',
        node.data,
        '--json',
      );
      expect(code).toBe(0);
      const { note, ...said } = JSON.parse(stdout) as { note: string; chainId: string };
      expect(note).toMatch(new RegExp(`^trustsql/${said.chainId}\\n\\d+\\n`));
      expect(said).toMatchObject({
        size: expect.any(Number),
        root: expect.stringMatching(/^[0-9a-f]{64}$/),
        signatures: [{ name: `trustsql/${said.chainId}` }],
      });
    },
    TIMEOUT_MS,
  );

  test(
    'of a row shows its values, its author and its transaction',
    async () => {
      expect(await exportProof('1', 'one.json')).toMatchObject({ code: 0, stderr: '' });
      const { code, stdout } = await check('one.json');
      expect(stdout).toContain('PROVEN');
      expect(stdout).toContain('account');
      expect(stdout).toContain('owner = ann');
      expect(stdout).toContain('balance = 70.00');
      expect(stdout).toContain('admin');
      expect(stdout).toContain('UPDATE account SET balance = balance - 30 WHERE id = 1');
      expect(code).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    'is no proof to who trusts another key',
    async () => {
      await exportProof('2', 'two.json');
      const { code, stdout } = await check('two.json', 'ab'.repeat(32));
      expect(stdout).toContain('NOT PROVEN');
      expect(code).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'that somebody has edited proves nothing',
    async () => {
      await exportProof('1', 'edited.json');
      const text = readFileSync(file('edited.json'), 'utf8');
      // Any letter of any long string: the values, hashes and signatures all are such strings.
      const strings = [...text.matchAll(/"([A-Za-z0-9+/]{16,}=*)"/g)];
      expect(strings.length).toBeGreaterThan(5);
      for (const found of strings) {
        const place = found.index + 5;
        const letter = text[place] === 'A' ? 'B' : 'A';
        writeFileSync(file('edited.json'), text.slice(0, place) + letter + text.slice(place + 1));
        const { code, stdout, stderr } = await check('edited.json');
        expect([found[1], stdout + stderr]).toEqual([
          found[1],
          expect.stringMatching(/NOT PROVEN|no proof/),
        ]);
        expect(code).toBe(1);
      }
    },
    TIMEOUT_MS,
  );

  // Without a browser on this machine it is skipped, visibly; the full check has one.
  (CHROMIUM === undefined && process.env['CI'] === undefined ? test.skip : test)(
    'is checked by the same code in a browser',
    async () => {
      await exportProof('1', 'browser.json');
      const bundle = readFileSync(file('browser.json'), 'utf8');
      const verdicts = await inBrowser(`
        const { checkProof } = await import('/ledger/proof-check.ts');
        const { parseProof } = await import('/ledger/proof-json.ts');
        const { nobleCrypto } = await import('/ledger/noble-crypto.ts');
        const { tryFromHex } = await import('/ledger/bytes.ts');
        const proof = parseProof(${JSON.stringify(bundle)});
        const nodeKeys = [tryFromHex('${nodeKey}')];
        const row = proof.row.slice();
        row[row.length - 1] ^= 1;
        const [valid, edited] = [proof, { ...proof, row }].map((each) =>
          checkProof(nobleCrypto, each, { nodeKeys }),
        );
        await answer({
          valid: valid.valid,
          table: valid.row.table,
          owner: valid.row.columns[1].value,
          edited: edited.valid,
          step: edited.step,
        });
      `);
      expect(verdicts).toEqual({
        valid: true,
        table: 'account',
        owner: 'ann',
        edited: false,
        step: 'row',
      });
    },
    TIMEOUT_MS,
  );

  test(
    'cannot be had of a row that never was',
    async () => {
      const { code } = await exportProof('99', 'none.json');
      expect(code).toBe(1);
    },
    TIMEOUT_MS,
  );
});
