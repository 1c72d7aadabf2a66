// Counts votes of an epoch and makes certificates of them. Pure.
//
// (1) A member's votes are counted once each, whatever arrives; two that contradict one another are a proof.
// (2) Votes of a member are bounded; its oldest go first, so a liar pushes out its own only.

import { equal } from '../../ledger/bytes.ts';
import type { Vote, VoteCertificate } from '../../ledger/vote.ts';
import { CONSENSUS_LIMITS } from '../limits.ts';

interface Tally {
  readonly vote: Vote;
  readonly signatures: Map<number, Uint8Array>;
}

/** Votes that would contradict one another have the same. */
function placeOf({ kind, term, height }: Vote): string {
  return `${kind}/${term}/${height}`;
}

export class Votes {
  /** By place; of each, by what was voted for: few. */
  readonly #tallies = new Map<string, Tally[]>();
  /** Of each member, its votes by place, in order of arrival. */
  readonly #byMember = new Map<number, Map<string, Vote>>();
  /** No vote held is of a term before. */
  #oldestTerm = 0;

  /** What the member has voted at the same place, whatever for. */
  earlier(vote: Vote): Vote | undefined {
    return this.#byMember.get(vote.member)?.get(placeOf(vote));
  }

  /** All acknowledgements counted of a member. */
  *acknowledgements(member: number): Iterable<Vote> {
    for (const vote of this.#byMember.get(member)?.values() ?? []) {
      if (vote.kind === 'ack' && this.#tallyOf(vote)?.signatures.has(member) === true) yield vote;
    }
  }

  /** @param vote  verified, the member's first at its place */
  add(vote: Vote): void {
    this.note(vote);
    const tally = this.#tallyOf(vote) ?? this.#open(vote);
    tally.signatures.set(vote.member, vote.signature);
  }

  /**
   * Remembers a vote that is not counted: only one that contradicts it will make anybody look at it again.
   *
   * @param vote  not verified, from the member itself, its first at its place
   */
  note(vote: Vote): void {
    let own = this.#byMember.get(vote.member);
    if (own === undefined) this.#byMember.set(vote.member, (own = new Map()));
    own.set(placeOf(vote), vote);
    this.#oldestTerm = Math.min(this.#oldestTerm, vote.term);
    if (own.size <= CONSENSUS_LIMITS.votesPerMemberMax) return;
    const [oldest] = own.values();
    this.forget(oldest!);
  }

  #open(vote: Vote): Tally {
    const place = placeOf(vote);
    const tally = { vote, signatures: new Map<number, Uint8Array>() };
    const tallies = this.#tallies.get(place);
    if (tallies === undefined) this.#tallies.set(place, [tally]);
    else tallies.push(tally);
    return tally;
  }

  #tallyOf(vote: Vote): Tally | undefined {
    return this.#tallies
      .get(placeOf(vote))
      ?.find((tally) => tally.vote.mode === vote.mode && equal(tally.vote.hash, vote.hash));
  }

  /** @param vote  one of those held */
  forget(vote: Vote): void {
    const place = placeOf(vote);
    this.#byMember.get(vote.member)!.delete(place);
    const tallies = this.#tallies.get(place) ?? [];
    this.#tallyOf(vote)?.signatures.delete(vote.member);
    const left = tallies.filter(({ signatures }) => signatures.size > 0);
    if (left.length > 0) this.#tallies.set(place, left);
    else this.#tallies.delete(place);
  }

  /** Forgets what is about blocks up to a height in terms before one. */
  prune(term: number, height: number): void {
    if (term <= this.#oldestTerm) return;
    let left = false;
    for (const own of this.#byMember.values()) {
      for (const vote of own.values()) {
        if (vote.term >= term) continue;
        if (vote.height <= height) this.forget(vote);
        else left = true;
      }
    }
    if (!left) this.#oldestTerm = term;
  }

  /** The certificate of the first `needed` members that voted as `vote` does; null when they are fewer. */
  certificate(vote: Vote, kind: VoteCertificate['kind'], needed: number): VoteCertificate | null {
    const tally = this.#tallyOf(vote);
    if (tally === undefined || tally.signatures.size < needed) return null;
    const { epoch, term, mode, height, hash } = vote;
    const signatures = [...tally.signatures]
      .sort(([a], [b]) => a - b)
      .slice(0, needed)
      .map(([member, signature]) => ({ member, signature }));
    return { kind, epoch, term, mode, height, hash, signatures };
  }
}
