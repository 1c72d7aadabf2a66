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

function gatewayOver(propose: (proposal: Proposal) => Promise<never>): Gateway {
  const consensus: Consensus = {
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

/** A gateway whose flights are answered by hand. */
function departuresOf() {
  const departed: number[] = [];
  const waiting: ((error: Error) => void)[] = [];
  const gateway = gatewayOver(({ ids }) => {
    departed.push(ids.length);
    return new Promise((_, reject) => waiting.push(reject));
  });
  const answers: Promise<unknown>[] = [];
  const submit = (count: number): void => {
    for (let i = 0; i < count; i += 1) {
      answers.push(gateway.submit(10, [], 'one').catch((error: unknown) => error));
    }
  };
  const departures = async (count: number): Promise<void> => {
    while (departed.length < count) await setImmediate();
  };
  return { departed, waiting, answers, submit, departures };
}

test('what comes while others are on their way leaves together, also when they are late', async () => {
  const { departed, waiting, answers, submit, departures } = departuresOf();
  submit(2);
  await departures(1);
  submit(2);
  for (let turn = 0; turn < 30; turn += 1) await setImmediate();
  submit(1);
  for (let turn = 0; turn < 30; turn += 1) await setImmediate();
  expect(departed).toEqual([2]);
  waiting.shift()!(new Error('answered'));
  await departures(2);
  submit(4);
  // The flight before them is not answered at all.
  await departures(3);
  expect(departed).toEqual([2, 3, 4]);
  for (const reject of waiting) reject(new Error('answered'));
  await Promise.all(answers);
  submit(1);
  await departures(4);
  expect(departed).toEqual([2, 3, 4, 1]);
  waiting.pop()!(new Error('answered'));
  await Promise.all(answers);
});

test('two groups of sessions become one', async () => {
  const { departed, waiting, submit, departures } = departuresOf();
  submit(5);
  await departures(1);
  submit(4);
  waiting.shift()!(new Error('answered'));
  // The five come again, one in each turn.
  for (let session = 0; session < 5; session += 1) {
    await setImmediate();
    submit(1);
  }
  await departures(2);
  expect(departed).toEqual([5, 9]);
  waiting.shift()!(new Error('answered'));
});
