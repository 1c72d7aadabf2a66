// Makes a node lie: loaded before its program (`node --import`). Shell.
//
// It lies as the query of its own URL says, when it is the member whose number is in the file that the query names, from
// when that is there:
//
//   siblings   as leader it proposes two blocks at one height, one to some of the others, another to the rest
//   body       as leader it proposes blocks whose body cannot be decoded
//   health     it signs that it has other results than are confirmed
//   unwell     it says nothing of what it has

import { existsSync, readFileSync } from 'node:fs';
import { decodeMessage, encodeMessage, encodeUnsignedHealth } from '../../consensus/core/codec.ts';
import { signStatement } from '../../consensus/core/context.ts';
import type { Effect } from '../../consensus/core/event.ts';
import type { Message } from '../../consensus/core/message.ts';
import { Replica } from '../../consensus/core/replica.ts';
import { decodeHeader, encodeHeader } from '../../ledger/encoding.ts';
import { bodyHash, headerHash } from '../../ledger/hash.ts';
import { signHeader } from '../../ledger/signing.ts';

const query = new URL(import.meta.url).searchParams;
const file = query.get('file') ?? '';
const how = query.get('how') ?? '';
/** What it says instead of a message; null: the message, undefined: nothing. */
type Lie = (replica: Replica, message: Message) => Message | null | undefined;
const LIES: Readonly<Record<string, Lie>> = {
  siblings: sibling,
  body: noBody,
  health: otherResult,
  unwell: (_replica, message) => (message.kind === 'health' ? undefined : null),
};
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
  const { config } = replica.inspected;
  const forged = LIES[how]!(replica, message);
  if (forged === null) return [effect];
  if (forged === undefined) return [];
  const bytes = encodeMessage(forged);
  if (how !== 'siblings') return [{ ...effect, bytes }];
  return config.members.map(({ publicKey }, index) => ({
    ...effect,
    to: publicKey,
    bytes: index % 2 === 0 ? effect.bytes : bytes,
  }));
}

function noBody(replica: Replica, message: Message): Message | null {
  if (message.kind !== 'block') return null;
  const { crypto, chainId, seed } = replica.inspected.options;
  const body = new Uint8Array([0xff]);
  const honestly = decodeHeader(message.block.header);
  const header = encodeHeader({ ...honestly, bodyHash: bodyHash(crypto, body) });
  const signature = signHeader(crypto, seed, chainId, headerHash(crypto, header));
  return { ...message, block: { header, body, signature } };
}

function sibling(replica: Replica, message: Message): Message | null {
  if (message.kind !== 'block') return null;
  const { crypto, chainId, seed } = replica.inspected.options;
  const header = decodeHeader(message.block.header);
  const other = encodeHeader({ ...header, timeMs: header.timeMs + 1 });
  const signature = signHeader(crypto, seed, chainId, headerHash(crypto, other));
  return { ...message, block: { ...message.block, header: other, signature } };
}

function otherResult(replica: Replica, message: Message): Message | null {
  if (message.kind !== 'health') return null;
  const { signature: _, ...health } = message.health;
  const lie = { ...health, receiptsRoot: health.hash };
  const signature = signStatement(replica.inspected.options, 'health', encodeUnsignedHealth(lie));
  return { kind: 'health', health: { ...lie, signature } };
}
