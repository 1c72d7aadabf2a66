// Bytes of votes, certificates, system records and epoch configurations. Pure, browser-safe.
//
// The rules are those of ledger/encoding.ts; described in docs/formats/block.md. The signatures of a
// certificate are strictly ascending by member and no more than there may be members: a certificate is
// refused for its shape before any signature is checked.

import { equal } from './bytes.ts';
import type { Codec } from './codec.ts';
import {
  blob,
  bytes,
  checked,
  decodeWith,
  encodeWith,
  hash,
  integer,
  list,
  oneOf,
  record,
  text,
  uint,
  variants,
} from './codec.ts';
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from './crypto.ts';
import type { EpochConfig, Member, Rules, Thresholds, Timers } from './epoch.ts';
import { LIMITS } from './limits.ts';
import { faultsMax } from './quorum.ts';
import type { SystemRecord } from './system.ts';
import type { Certificate, MemberSignature, Vote, VoteCertificate } from './vote.ts';

const publicKey = bytes(PUBLIC_KEY_BYTES);
const signature = bytes(SIGNATURE_BYTES);

export const memberIndex: Codec<number> = integer(0, LIMITS.nodesMax - 1);
export const modeCodec = oneOf(['raft', 'bft']);

const ballot = { epoch: uint, term: uint, mode: modeCodec, height: uint, hash } as const;

export const voteCodec = record<Vote>({
  kind: oneOf(['ack', 'commit']),
  ...ballot,
  member: memberIndex,
  signature,
});

function notAscending(signatures: readonly MemberSignature[]): string | null {
  const wrong = signatures.some(({ member }, at) => at > 0 && member <= signatures[at - 1]!.member);
  return wrong ? 'signatures are not ascending by member' : null;
}

const signatures = checked(
  list(record<MemberSignature>({ member: memberIndex, signature }), LIMITS.nodesMax),
  notAscending,
);

const voted = { ...ballot, signatures } as const;

export const certificateCodec: Codec<Certificate> = variants<Certificate, 'kind'>('kind', {
  proposer: [0, { signature }],
  quorum: [1, voted],
  fast: [2, voted],
  commit: [3, voted],
});

export const voteCertificateCodec: Codec<VoteCertificate> = variants<VoteCertificate, 'kind'>(
  'kind',
  { quorum: [1, voted], fast: [2, voted], commit: [3, voted] },
);

export const memberCodec = record<Member>({ publicKey, address: text(LIMITS.addressBytesMax) });

const timers = record<Timers>({
  heartbeatMs: integer(1),
  electionMs: integer(1),
  progressMs: integer(1),
  openMs: integer(1),
  fastMs: integer(1),
  timeoutMaxMs: integer(1),
  dwellMs: uint,
  dwellBlocks: uint,
});

const thresholds = record<Thresholds>({ fraud: integer(1), faults: uint, complaints: integer(1) });

const ruleFields = {
  members: list(memberCodec, LIMITS.nodesMax, 1),
  observers: list(memberCodec, LIMITS.nodesMax),
  f: uint,
  policy: oneOf(['solo', 'raft', 'bft', 'adaptive']),
  window: integer(1, LIMITS.windowMax),
  governance: record<Rules['governance']>({
    keys: list(publicKey, LIMITS.nodesMax),
    needed: integer(1, LIMITS.nodesMax),
  }),
  thresholds,
  timers,
} as const;

function impossible({ members, observers, f, policy }: Rules): string | null {
  const all = [...members, ...observers];
  const twice = all.some(({ publicKey: key }, at) =>
    all.slice(0, at).some((other) => equal(other.publicKey, key)),
  );
  if (twice) return 'a node is listed twice';
  if (f > faultsMax(members.length)) return `${members.length} members cannot bear ${f} faults`;
  return policy === 'solo' && members.length > 1 ? 'solo is one member' : null;
}

export const rulesCodec: Codec<Rules> = checked(record<Rules>(ruleFields), impossible);

const configCodec: Codec<EpochConfig> = checked(
  record<EpochConfig>({
    epoch: uint,
    start: uint,
    ...ruleFields,
    mode: modeCodec,
    eligible: list(memberIndex, LIMITS.nodesMax, 1),
    base: uint,
    suspended: list(memberIndex, LIMITS.nodesMax),
    switched: record<EpochConfig['switched']>({ height: uint, timeMs: uint, level: uint }),
  }),
  (config) => {
    const known = [...config.eligible, ...config.suspended].every(
      (index) => index < config.members.length,
    );
    return known ? impossible(config) : 'no such member';
  },
);

const systemRecordCodec: Codec<SystemRecord> = variants<SystemRecord, 'kind'>('kind', {
  evidence: [0, { accused: memberIndex, proof: blob(1, LIMITS.evidenceBytesMax) }],
  mode: [
    1,
    { mode: modeCodec, statements: list(blob(1, LIMITS.statementBytesMax), LIMITS.statementsMax) },
  ],
  rules: [
    2,
    {
      rules: rulesCodec,
      approvals: list(record({ key: publicKey, signature }), LIMITS.nodesMax),
    },
  ],
});

export const systemCodec = list(systemRecordCodec, LIMITS.systemRecordsMax);

export function encodeVote(vote: Vote): Uint8Array {
  return encodeWith(voteCodec, vote);
}

export function decodeVote(encoded: Uint8Array): Vote {
  return decodeWith(voteCodec, encoded);
}

export function encodeCertificate(certificate: Certificate): Uint8Array {
  return encodeWith(certificateCodec, certificate);
}

export function decodeCertificate(encoded: Uint8Array): Certificate {
  return decodeWith(certificateCodec, encoded);
}

export function encodeRules(rules: Rules): Uint8Array {
  return encodeWith(rulesCodec, rules);
}

export function encodeConfig(config: EpochConfig): Uint8Array {
  return encodeWith(configCodec, config);
}

export function decodeConfig(encoded: Uint8Array): EpochConfig {
  return decodeWith(configCodec, encoded);
}
