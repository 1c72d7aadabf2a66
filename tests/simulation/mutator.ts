// A member whose messages are small lies, signed by its own key: one field off, something left out or repeated.
// Pure.

import {
  decodeMessage,
  encodeMessage,
  encodeUnsignedHealth,
  encodeUnsignedReport,
} from '../../consensus/core/codec.ts';
import { signStatement } from '../../consensus/core/context.ts';
import type { Message } from '../../consensus/core/message.ts';
import { signVote } from '../../ledger/signing.ts';
import type { Vote, VoteCertificate } from '../../ledger/vote.ts';
import type { Beginning, SimNode } from './node.ts';
import type { Stream } from './random.ts';

/** @returns null when it is held back */
export function mutated(
  random: Stream,
  node: SimNode,
  beginning: Beginning,
  bytes: Uint8Array,
): Uint8Array | null {
  if (random.chance(0.1)) return null;
  if (!random.chance(0.4)) return bytes;
  const message = change(random, node, beginning, decodeMessage(bytes));
  try {
    return encodeMessage(message);
  } catch {
    // Not even a liar can write down what has no encoding.
    return bytes;
  }
}

function change(random: Stream, node: SimNode, beginning: Beginning, message: Message): Message {
  const off = random.pick([-1, 1]);
  switch (message.kind) {
    case 'vote':
      return { kind: 'vote', vote: changedVote(random, node, beginning, message.vote) };
    case 'certificate':
      return { kind: 'certificate', certificate: changedCertificate(random, message.certificate) };
    case 'block':
      return {
        ...message,
        highest: message.highest && changedCertificate(random, message.highest),
      };
    case 'status':
      return random.chance(0.5)
        ? { ...message, term: message.term + off, height: message.height + off }
        : { ...message, highest: message.highest && changedCertificate(random, message.highest) };
    case 'wish':
      return { ...message, term: message.term + off, wantBft: random.chance(0.5) };
    case 'floor':
      return {
        ...message,
        height: message.height + off * random.below(9),
        term: message.term + off,
      };
    case 'report': {
      const { signature: _, ...report } = message.report;
      const tail = random.chance(0.5) ? report.tail.slice(0, -1) : report.tail;
      const lie = { ...report, tail, wantBft: random.chance(0.5) };
      const signer = { ...beginning, seed: node.seed };
      const signature = signStatement(signer, 'report', encodeUnsignedReport(lie));
      return { kind: 'report', report: { ...lie, signature } };
    }
    case 'health': {
      const { signature: _, ...health } = message.health;
      const lie = random.pick([
        { ...health, receiptsRoot: beginning.hash },
        { ...health, hash: beginning.hash },
        { ...health, height: health.height + 8 * off },
      ]);
      const signer = { ...beginning, seed: node.seed };
      const signature = signStatement(signer, 'health', encodeUnsignedHealth(lie));
      return { kind: 'health', health: { ...lie, signature } };
    }
    default:
      return message;
  }
}

function changedVote(random: Stream, node: SimNode, beginning: Beginning, vote: Vote): Vote {
  const { signature: _, ...rest } = vote;
  const lie = random.pick([
    { ...rest, height: rest.height + 1 },
    { ...rest, term: rest.term + 1 },
    { ...rest, kind: rest.kind === 'ack' ? 'commit' : 'ack' } as const,
    { ...rest, mode: rest.mode === 'raft' ? 'bft' : 'raft' } as const,
    { ...rest, hash: beginning.hash },
    { ...rest, member: random.below(4) },
  ]);
  return signVote(beginning.crypto, node.seed, beginning.chainId, lie);
}

function changedCertificate(random: Stream, certificate: VoteCertificate): VoteCertificate {
  const { signatures } = certificate;
  return random.pick<VoteCertificate>([
    { ...certificate, height: certificate.height + 1 },
    { ...certificate, term: certificate.term + 1 },
    { ...certificate, mode: certificate.mode === 'raft' ? 'bft' : 'raft' },
    { ...certificate, kind: 'commit' },
    { ...certificate, kind: 'fast' },
    { ...certificate, signatures: signatures.slice(1) },
    {
      ...certificate,
      signatures: signatures.map((each, at) => ({
        ...each,
        signature: signatures[at && 0]!.signature,
      })),
    },
  ]);
}
