// What a client is told when nobody knows what became of its transaction; what leaves together.

import { expect, test } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import type { Consensus, Proposal } from '../../../consensus/consensus.ts';
import { hex } from '../../../ledger/bytes.ts';
import { SqlError } from '../../../ledger/error.ts';
import { SQLSTATE } from '../../../ledger/sqlstate.ts';
import { Gateway } from '../../../server/gateway.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';

const NOW_MS = 1_760_000_000_000;
const VALID_FOR_MS = 60_000;
const seed = new Uint8Array(32).fill(5);

function gatewayOver(propose: (proposal: Proposal) => Promise<never>, flightsMax = 1): Gateway {
  const consensus: Consensus = {
    flightsMax,
    propose,
    changeRules: () => Promise.reject(new Error('not asked for')),
    prove: () => Promise.resolve(),
    agreed: () => Promise.resolve(),
    caughtUp: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
  return new Gateway({
    crypto,
    chainId: new Uint8Array(32).fill(1),
    consensus,
    signerOf: () => ({ publicKey: crypto.publicKeyOf(seed), seed }),
    now: () => NOW_MS,
    randomBytes: (count) => new Uint8Array(count).fill(7),
    validForMs: VALID_FOR_MS,
    onExecuted: () => undefined,
  });
}

test('an unknown outcome names the transaction, and until when it may come', async () => {
  let ids: readonly Uint8Array[] = [];
  const gateway = gatewayOver((proposal) => {
    ({ ids } = proposal);
    const error = new SqlError(SQLSTATE.statementCompletionUnknown, 'nobody knows');
    return Promise.reject(error);
  });
  const answers = await Promise.allSettled([
    gateway.submit(10, [], 'one'),
    gateway.submit(10, [], 'two'),
  ]);
  const until = new Date(NOW_MS + VALID_FOR_MS).toISOString();
  expect(ids).toHaveLength(2);
  expect(answers).toMatchObject(
    ids.map((id) => ({
      reason: {
        sqlstate: '40003',
        message: 'nobody knows',
        fields: {
          detail: `Transaction ${hex(id)}, valid until ${until}.`,
          hint: expect.stringContaining(`ledger.transaction_status('${hex(id)}', '${until}')`),
        },
      },
    })),
  );
});

test('any other error is left as it is', async () => {
  const error = new SqlError(SQLSTATE.cannotConnectNow, 'the node is shutting down');
  const gateway = gatewayOver(() => Promise.reject(error));
  await expect(gateway.submit(10, [], 'one')).rejects.toBe(error);
});

test.each([
  { flightsMax: 1, departed: [2, 3] },
  { flightsMax: 2, departed: [2, 2, 1] },
])('what comes while $flightsMax are on their way leaves together', async (row) => {
  const departed: number[] = [];
  const waiting: ((error: Error) => void)[] = [];
  const gateway = gatewayOver(({ ids }) => {
    departed.push(ids.length);
    return new Promise((_, reject) => waiting.push(reject));
  }, row.flightsMax);
  const answers: Promise<unknown>[] = [];
  const submit = (count: number): void => {
    for (let i = 0; i < count; i += 1) {
      answers.push(gateway.submit(10, [], 'one').catch((error: unknown) => error));
    }
  };
  submit(2);
  while (departed.length < 1) await setImmediate();
  submit(2);
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  submit(1);
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  expect(departed).toEqual(row.departed.slice(0, row.flightsMax));
  while (departed.length < row.departed.length) {
    for (const reject of waiting.splice(0)) reject(new Error('answered'));
    await setImmediate();
  }
  for (const reject of waiting.splice(0)) reject(new Error('answered'));
  await Promise.all(answers);
  expect(departed).toEqual(row.departed);
});
