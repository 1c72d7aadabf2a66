// Makes a node lie: loaded before its program (`node --import`). Shell.
//
// As leader it proposes two blocks at one height: one to some of the others, another to the rest, both signed. It is the
// member whose number is in the file that the query of its own URL names, from when it is there.

import { existsSync, readFileSync } from 'node:fs';
import { decodeMessage, encodeMessage } from '../../consensus/core/codec.ts';
import type { Effect } from '../../consensus/core/event.ts';
import { Replica } from '../../consensus/core/replica.ts';
import { decodeHeader, encodeHeader } from '../../ledger/encoding.ts';
import { headerHash } from '../../ledger/hash.ts';
import { signHeader } from '../../ledger/signing.ts';

const file = new URL(import.meta.url).searchParams.get('file') ?? '';
// eslint-disable-next-line typescript/unbound-method
const honest = Replica.prototype.step;

Replica.prototype.step = function step(event) {
  const effects = honest.call(this, event);
  return isLiar(this) ? effects.flatMap((effect) => lies(this, effect)) : effects;
};

function isLiar({ status }: Replica): boolean {
  return existsSync(file) && readFileSync(file, 'utf8') === String(status.self);
}

function lies(replica: Replica, effect: Effect): Effect[] {
  if (effect.kind !== 'send' || effect.to !== null) return [effect];
  const message = decodeMessage(effect.bytes);
  if (message.kind !== 'block') return [effect];
  const { config, options } = replica.inspected;
  const { crypto, chainId, seed } = options;
  const header = decodeHeader(message.block.header);
  const other = encodeHeader({ ...header, timeMs: header.timeMs + 1 });
  const signature = signHeader(crypto, seed, chainId, headerHash(crypto, other));
  const block = { ...message.block, header: other, signature };
  const forged = encodeMessage({ ...message, block });
  return config.members.map(({ publicKey }, index) => ({
    ...effect,
    to: publicKey,
    bytes: index % 2 === 0 ? effect.bytes : forged,
  }));
}
