// The change from one kind of consensus to the other: what comes meanwhile is for the successor, or refused for good.

import { describe, expect, test } from '@jest/globals';
import type { Consensus, Outcome, Proposal } from '../../../consensus/consensus.ts';
import { HandedOver } from '../../../consensus/handover.ts';
import type { SqlError } from '../../../ledger/error.ts';
import { Ordering } from '../../../server/ordering.ts';
import type { OrderingPart } from '../../../server/ordering.ts';

const proposal = {} as Proposal;

/** A part that orders until it has ended; its outcome is its name. */
class Part {
  ended = false;
  stopped = Promise.withResolvers<void>();
  stops = 0;
  onHandover: () => void = () => undefined;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  end(): void {
    this.ended = true;
    this.onHandover();
  }

  get part(): OrderingPart {
    const propose = (): Promise<Outcome> =>
      this.ended
        ? Promise.reject(new HandedOver())
        : Promise.resolve(this.name as unknown as Outcome);
    return {
      consensus: { propose } as Partial<Consensus> as Consensus,
      network: null,
      chunks: {} as OrderingPart['chunks'],
      state: () => ({}) as ReturnType<OrderingPart['state']>,
      stop: () => {
        this.stops += 1;
        return this.stopped.promise;
      },
    };
  }
}

async function orderingOf(parts: readonly (Part | Error)[]) {
  const failures: unknown[] = [];
  const rest = [...parts];
  const ordering = await Ordering.start({
    open: (onHandover) => {
      const next = rest.shift();
      if (!(next instanceof Part)) return Promise.reject(next ?? new Error('there is no other'));
      next.onHandover = onHandover;
      return Promise.resolve(next.part);
    },
    prepare: () => Promise.resolve(),
    onFailure: (error) => failures.push(error),
  });
  return { ordering, failures };
}

function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'settled',
    (error: SqlError) => error.sqlstate,
  );
}

describe('Ordering', () => {
  test('what is proposed while one part is stopped is ordered by the next', async () => {
    const [first, second] = [new Part('first'), new Part('second')];
    const { ordering } = await orderingOf([first, second]);
    expect(await ordering.propose(proposal)).toBe('first');
    first.end();
    const proposed = ordering.propose(proposal);
    await new Promise(setImmediate);
    first.stopped.resolve();
    expect(await proposed).toBe('second');
    expect(first.stops).toBe(1);
    second.stopped.resolve();
    await ordering.stop();
    expect(second.stops).toBe(1);
  });

  test('a stop lets the change that is under way end, and stops what came of it', async () => {
    const [first, second] = [new Part('first'), new Part('second')];
    const { ordering } = await orderingOf([first, second]);
    first.end();
    const stopped = ordering.stop();
    first.stopped.resolve();
    second.stopped.resolve();
    await stopped;
    expect([first.stops, second.stops]).toEqual([1, 1]);
  });

  test('a part that ends while it is stopped has no successor: who waits for one hears of the shutdown', async () => {
    const first = new Part('first');
    const { ordering, failures } = await orderingOf([first]);
    first.ended = true;
    const proposed = ordering.propose(proposal);
    const stopped = ordering.stop();
    await new Promise(setImmediate);
    first.end();
    first.stopped.resolve();
    await stopped;
    expect(await codeOf(proposed)).toBe('57P03');
    expect(await codeOf(ordering.propose(proposal))).toBe('57P03');
    expect([first.stops, failures]).toEqual([1, []]);
  });

  test('a successor that cannot be opened ends the node', async () => {
    const first = new Part('first');
    const broken = new Error('no port');
    const { ordering, failures } = await orderingOf([first, broken]);
    first.end();
    const proposed = codeOf(ordering.propose(proposal));
    first.stopped.resolve();
    expect(await proposed).toBe('TL003');
    expect(failures).toEqual([broken]);
    await ordering.stop();
    expect(first.stops).toBe(1);
  });
});
