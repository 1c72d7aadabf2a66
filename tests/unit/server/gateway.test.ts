// What a client is told when nobody knows what became of its transaction.

import { expect, test } from '@jest/globals';
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
