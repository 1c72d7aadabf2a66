// The leader's part: asks for content, makes headers, proposes. Pure.
//
// (1) A leader proposes only in an open term that this incarnation leads, one chain on the block that the term
//     has taken over, at most a window above the newest confirmed block, nothing on an unconfirmed barrier.
// (2) Before the first proposal of a term it is durable that the term was led.

import type { Executed, Header } from '../../ledger/block.ts';
import { FORMAT_VERSION } from '../../ledger/block.ts';
import { HASH_BYTES } from '../../ledger/crypto.ts';
import { encodeBody, encodeHeader } from '../../ledger/encoding.ts';
import { bodyHash, headerHash } from '../../ledger/hash.ts';
import { merkleRoot } from '../../ledger/merkle.ts';
import { signHeader } from '../../ledger/signing.ts';
import type { Candidate, HashKey, Root } from './block-tree.ts';
import { decodeCandidate, keyOf } from './block-tree.ts';
import type { ReplicaEvent } from './event.ts';
import type { State } from './state.ts';
import { pendingSystem } from './system-check.ts';
import { advance } from './voting.ts';

const NO_HASH = new Uint8Array(HASH_BYTES);

type Content = Extract<ReplicaEvent, { kind: 'propose' }>;

/** Makes a header from its parent and a body. */
export function nextHeader(
  parent: { readonly header: Header; readonly hash: Uint8Array; readonly historyRoot: Uint8Array },
  fields: Pick<
    Header,
    | 'timeMs'
    | 'transactionsRoot'
    | 'transactionCount'
    | 'bodyHash'
    | 'executed'
    | 'proposer'
    | 'epoch'
    | 'term'
    | 'mode'
    | 'newTermHash'
  >,
): Header {
  const { header, hash, historyRoot } = parent;
  return {
    version: FORMAT_VERSION,
    chainId: header.chainId,
    height: header.height + 1,
    parent: hash,
    historyRoot,
    ...fields,
    timeMs: Math.max(fields.timeMs, header.timeMs),
  };
}

/** The block that a proposal would follow, or null while none may be made. */
function parentFor(s: State): Candidate | Root | null {
  if (!s.isLeader || s.recovering || !s.open) return null;
  // Term 0 needs no opening; every other has been opened by whoever leads it, in this incarnation.
  if (!s.leads && (s.term > 0 || s.led !== null)) return null;
  const key = proposedBefore(s) ?? keyOf(s.highest.hash);
  const path = s.tree.path(key);
  if (path === null || path.length >= s.config.window) return null;
  if (path.some(({ barrier }) => barrier)) return null;
  return s.tree.find(key) ?? null;
}

/** The unconfirmed blocks that a proposal would follow, ascending. */
export function pathAhead(s: State): readonly Candidate[] {
  return s.tree.path(proposedBefore(s) ?? keyOf(s.highest.hash)) ?? [];
}

function proposedBefore(s: State): HashKey | null {
  return s.lastProposed !== null && s.tree.isLinked(s.lastProposed) ? s.lastProposed : null;
}

/** Asks the shell for content, once for each place. */
export function askForContent(s: State): void {
  const parent = parentFor(s);
  if (parent === null) return;
  const { height, timeMs } = parent.header;
  const urgent = pendingSystem(s, { height: height + 1, timeMs }).length > 0;
  ask(s, parent, urgent);
}

function ask(s: State, parent: Candidate | Root, urgent: boolean): void {
  const place = `${s.config.epoch}/${s.term}/${parent.key}`;
  // What has become urgent since, as the end of the time in bft mode, stays so.
  if (s.askedFor === `${place}/urgent` || (s.askedFor === place && !urgent)) return;
  s.askedFor = urgent ? `${place}/urgent` : place;
  s.effects.push({ kind: 'wantBlock', parent: parent.header, urgent });
}

/** Content for the next block. It is taken if an effect `proposed` follows. */
export function onPropose(s: State, content: Content): void {
  const parent = parentFor(s);
  if (parent === null) return;
  const timeMs = Math.max(content.timeMs, parent.header.timeMs);
  const system = pendingSystem(s, { height: parent.height + 1, timeMs });
  // Blocks with system records hold nothing else: their proofs must fit.
  if (system.length > 0 && content.bundles.length > 0) return ask(s, parent, true);
  if (s.led !== s.term) {
    s.led = s.term;
    s.leads = true;
    s.persist();
  }
  const body = encodeBody({ bundles: content.bundles, system });
  const header = nextHeader(
    { header: parent.header, hash: parent.hash, historyRoot: parent.history!.root() },
    {
      timeMs,
      transactionsRoot:
        content.bundles.length > 0 ? content.transactionsRoot : merkleRoot(s.options.crypto, []),
      transactionCount: content.transactionCount,
      bodyHash: bodyHash(s.options.crypto, body),
      executed: nextResult(s, parent.header),
      proposer: s.options.publicKey,
      epoch: s.config.epoch,
      term: s.term,
      mode: s.highest.mode,
      newTermHash: beginsTerm(s, parent.header) ? s.opened!.hash : NO_HASH,
    },
  );
  propose(s, header, body);
}

function beginsTerm(s: State, { epoch, term }: Header): boolean {
  return s.term > 0 && (epoch !== s.config.epoch || term !== s.term);
}

/** The result after the one that the parent says, if it is here. */
function nextResult(s: State, { executed }: Header): Executed {
  return s.results.find(({ height }) => height === executed.height + 1) ?? executed;
}

function propose(s: State, header: Header, body: Uint8Array): void {
  const { crypto, chainId, seed } = s.options;
  const encoded = encodeHeader(header);
  const signature = signHeader(crypto, seed, chainId, headerHash(crypto, encoded));
  const block = decodeCandidate(crypto, { header: encoded, body, signature })!;
  if (!s.tree.add(block, (key) => s.isNeeded(key))) return;
  s.lastProposed = block.key;
  s.effects.push({ kind: 'proposed', header, hash: block.hash });
  sendProposal(s, block);
  advance(s);
}

export function sendProposal(s: State, block: Candidate): void {
  const highest = s.highest.signatures.length > 0 ? s.highest : null;
  s.broadcast({ kind: 'block', block: block.signed, highest, confirming: s.confirming });
}
