// Frames, what cuts messages into them and what puts them together again.

import { describe, expect, test } from '@jest/globals';
import { concat, hex, uint32 } from '../../../../ledger/bytes.ts';
import {
  PEER_BLOCK_QUEUE_BYTES_MAX,
  PEER_FRAME_BYTES_MAX,
  PEER_SYNC_BYTES_MAX,
  PEER_SYNC_QUEUE_BYTES_MAX,
  PEER_VOTE_BYTES_MAX,
  PEER_VOTE_QUEUE_BYTES_MAX,
  PEER_WINDOW_BYTES,
} from '../../../../server/limits.ts';
import { bodyBytesMax, decodeFrame, encodeFrame } from '../../../../server/peers/frame.ts';
import type { Frame } from '../../../../server/peers/frame.ts';
import { Inbox } from '../../../../server/peers/inbox.ts';
import type { Message } from '../../../../server/peers/inbox.ts';
import { Outbox } from '../../../../server/peers/outbox.ts';
import { isPeerRefusal } from '../../../../server/peers/refusal.ts';
import { Random } from '../../ledger/random.ts';

const NOTHING = new Uint8Array(0);

function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** The text of the refusal, or what else came of it. */
function refusalOf(work: () => unknown): string {
  try {
    work();
    return 'accepted';
  } catch (error) {
    if (!isPeerRefusal(error)) throw error;
    return error.message;
  }
}

/** All that leaves as long as the peer takes nothing. */
function drain(outbox: Outbox, room = PEER_FRAME_BYTES_MAX): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let frame = outbox.next(room); frame !== null; frame = outbox.next(room)) frames.push(frame);
  return frames;
}

/** Messages of frames that leave one after another, the peer taking each at once. */
function pass(outbox: Outbox, inbox: Inbox): Message[] {
  const messages: Message[] = [];
  for (;;) {
    const frame = outbox.next(PEER_FRAME_BYTES_MAX);
    if (frame === null) return messages;
    if ((frame[1]! & 0x7f) !== 0) expect(outbox.credited(frame.length)).toBe(true);
    const message = inbox.receive(frame);
    if (message !== null) messages.push(message);
  }
}

const asked = (): boolean => true;

describe('a frame', () => {
  const whole: Frame = {
    kind: 'message',
    lane: 'block',
    sequence: 2 ** 40 + 7,
    length: 3,
    body: new Uint8Array([1, 2, 3]),
  };

  test('has its bytes where docs/formats/peer.md says', () => {
    const bytes = encodeFrame(whole, whole.body);
    expect(hex(bytes)).toBe('1381' + '010000000007' + '00000003' + '010203');
    expect(decodeFrame(bytes)).toEqual(whole);
    const rest: Frame = { ...whole, lane: 'sync', sequence: 1, length: null };
    expect(hex(encodeFrame(rest, rest.body))).toBe('1303' + '000000000001' + '010203');
    expect(decodeFrame(encodeFrame(rest, rest.body))).toEqual(rest);
  });

  test('that is truncated, of another version, kind or class, or too long is refused', () => {
    const bytes = encodeFrame(whole, whole.body);
    for (let length = 0; length < 12; length++) {
      expect(refusalOf(() => decodeFrame(bytes.subarray(0, length)))).toBe('a frame is truncated');
    }
    const changed = (at: number, value: number): string =>
      refusalOf(() => decodeFrame(bytes.with(at, value)));
    expect(changed(0, 0x23)).toBe('a frame of another version');
    expect(changed(0, 0x11)).toBe('a frame of an unknown kind');
    expect(changed(1, 0x84)).toBe('a frame of an unknown class');
    expect(changed(1, 0x82)).toBe('no message is of class address');
    expect(changed(8, 0xff)).toBe('a message is too long');
    const long = concat(bytes, new Uint8Array(PEER_FRAME_BYTES_MAX));
    expect(refusalOf(() => decodeFrame(long))).toBe('a frame is too long');
  });
});

describe('an inbox', () => {
  const frame = (sequence: number, length: number | null, body: Uint8Array): Uint8Array =>
    encodeFrame({ kind: 'message', lane: 'sync', sequence, length }, body);
  const full = filled(bodyBytesMax(true), 1);

  test('refuses a frame that is repeated or left out', () => {
    const inbox = new Inbox(asked);
    const first = frame(0, 0, NOTHING);
    expect(inbox.receive(first)?.bytes).toEqual(NOTHING);
    expect(refusalOf(() => inbox.receive(first))).toBe('a frame is repeated or missing');
    expect(refusalOf(() => inbox.receive(frame(2, 0, NOTHING)))).toBe(
      'a frame is repeated or missing',
    );
  });

  test('refuses fragments that do not make their message', () => {
    const after = (...frames: Uint8Array[]): string => {
      const inbox = new Inbox(asked);
      for (const bytes of frames.slice(0, -1)) inbox.receive(bytes);
      return refusalOf(() => inbox.receive(frames.at(-1)!));
    };
    expect(after(frame(0, null, full))).toBe('a fragment of no message');
    expect(after(frame(0, 5, filled(6, 0)))).toBe('a message is longer than it says');
    expect(after(frame(0, 6, filled(5, 0)))).toBe('a fragment is too short');
    const begun = frame(0, full.length + 10, full);
    expect(after(begun, frame(1, 3, filled(3, 0)))).toBe('a message begins within another');
    expect(after(begun, frame(1, null, filled(9, 0)))).toBe('a fragment is too short');
    expect(after(begun, frame(1, null, filled(11, 0)))).toBe('a message is longer than it says');
    expect(after(begun, frame(1, null, filled(10, 0)))).toBe('accepted');
    const other = encodeFrame({ kind: 'answer', lane: 'sync', sequence: 1, length: null }, full);
    expect(after(begun, other)).toBe('a fragment of no message');
  });

  test('refuses requests without an id, and keeps no answer that nobody waits for', () => {
    const request = { kind: 'request', lane: 'sync', sequence: 0, length: 3 } as const;
    const inbox = new Inbox((id) => id === 1);
    expect(refusalOf(() => inbox.receive(encodeFrame(request, filled(3, 0))))).toBe(
      'a request is too short',
    );
    const answers = new Inbox((id) => id === 1);
    const answer = (sequence: number, id: number): Message | null =>
      answers.receive(
        encodeFrame(
          { kind: 'answer', lane: 'sync', sequence, length: 5 },
          uint32(id),
          filled(1, 0),
        ),
      );
    expect(answer(0, 0)).toBeNull();
    expect(answer(1, 1)?.kind).toBe('answer');
  });

  test('gives bytes that are no view of what was received', () => {
    const bytes = frame(0, 3, filled(3, 7));
    const message = new Inbox(asked).receive(bytes)!;
    bytes.fill(0);
    expect(message.bytes).toEqual(filled(3, 7));
  });

  test('meets bytes made by chance with a message or a refusal', () => {
    const seed = 20_260_412;
    const random = new Random(seed);
    const outcomes = new Set<string>();
    for (let round = 0; round < 3_000; round++) {
      const inbox = new Inbox(asked);
      for (let sequence = 0; sequence < 4; sequence++) {
        const head = { kind: 'message', lane: 'vote', sequence, length: random.below(20) } as const;
        const bytes = encodeFrame(head, filled(head.length, 1));
        for (let n = random.below(4); n > 0; n--)
          bytes[random.below(bytes.length)] = random.below(256);
        const outcome = refusalOf(() => inbox.receive(bytes.subarray(0, random.below(40))));
        outcomes.add(outcome);
        if (outcome !== 'accepted') break;
      }
    }
    expect(outcomes.size).toBeGreaterThan(8);
    expect(outcomes).toContain('accepted');
  });
});

describe('an outbox', () => {
  test('lets votes go before blocks, blocks before addresses, and these before sync', () => {
    const outbox = new Outbox();
    outbox.put('sync', filled(10, 4));
    outbox.putAddress('a', filled(10, 3));
    outbox.put('block', filled(10, 2));
    outbox.put('vote', filled(10, 1));
    outbox.put('vote', filled(11, 1));
    const messages = pass(outbox, new Inbox(asked));
    expect(messages.map(({ lane, bytes }) => [lane, bytes.length])).toEqual([
      ['vote', 10],
      ['vote', 11],
      ['block', 10],
      ['address', 10],
      ['sync', 10],
    ]);
    expect(outbox.bytes).toBe(0);
  });

  test('a message on its way is interrupted by a vote after one frame', () => {
    const outbox = new Outbox();
    const inbox = new Inbox(asked);
    const large = filled(300_000, 9);
    outbox.put('sync', large);
    expect(inbox.receive(outbox.next(PEER_FRAME_BYTES_MAX)!)).toBeNull();
    outbox.put('vote', filled(70_000, 1));
    outbox.put('block', filled(1, 2));
    const messages = pass(outbox, inbox);
    expect(messages.map(({ lane }) => lane)).toEqual(['vote', 'block', 'sync']);
    expect(messages[2]!.bytes).toEqual(large);
  });

  test('messages of all lengths around a frame arrive whole', () => {
    for (const frames of [1, 2, 3]) {
      const edge = bodyBytesMax(true) + (frames - 1) * bodyBytesMax(false);
      for (const length of [edge - 1, edge, edge + 1]) {
        const outbox = new Outbox();
        outbox.put('sync', filled(length, 5));
        const sent = drain(outbox);
        expect(sent.length).toBe(length > edge ? frames + 1 : frames);
        for (const frame of sent) expect(frame.length).toBeLessThanOrEqual(PEER_FRAME_BYTES_MAX);
        const inbox = new Inbox(asked);
        const messages = sent.map((frame) => inbox.receive(frame)).filter((one) => one !== null);
        expect(messages).toEqual([{ kind: 'message', lane: 'sync', bytes: filled(length, 5) }]);
      }
    }
  });

  test('of votes drops the oldest, and none that has begun', () => {
    const outbox = new Outbox();
    outbox.put('vote', filled(PEER_VOTE_BYTES_MAX, 0));
    const begun = outbox.next(0)!;
    for (let n = 1; n <= 300; n++) expect(outbox.put('vote', filled(10_000, n))).toBe(true);
    expect(outbox.bytes).toBeLessThanOrEqual(PEER_VOTE_QUEUE_BYTES_MAX);
    const inbox = new Inbox(asked);
    inbox.receive(begun);
    const votes = pass(outbox, inbox).map(({ bytes }) => bytes[0]);
    expect(votes[0]).toBe(0);
    expect(votes.at(-1)).toBe(300 % 256);
    expect(votes.length).toBe(1 + 300 - outbox.dropped);
    expect(outbox.dropped).toBeGreaterThan(150);
  });

  test('takes no block and no sync above their bounds, and says so', () => {
    const outbox = new Outbox();
    const count = (lane: 'block' | 'sync'): number => {
      let taken = 0;
      while (outbox.put(lane, filled(1_000_000, 0))) taken++;
      return taken;
    };
    expect(count('block')).toBe(Math.floor(PEER_BLOCK_QUEUE_BYTES_MAX / 1_000_128));
    expect(outbox.dropped).toBe(1);
    expect(count('sync')).toBe(Math.floor(PEER_SYNC_QUEUE_BYTES_MAX / 1_000_128));
    expect(outbox.dropped).toBe(1);
  });

  test('of which sync was not taken is full until there is room for any', () => {
    const outbox = new Outbox();
    expect(outbox.full).toBe(false);
    while (outbox.put('sync', filled(1_000_000, 0)));
    expect(outbox.full).toBe(true);
    for (let frame = 0; outbox.full; frame++) {
      expect(frame).toBeLessThan(64);
      outbox.credited(outbox.next(PEER_FRAME_BYTES_MAX)!.length);
    }
    expect(outbox.put('sync', filled(PEER_SYNC_BYTES_MAX, 0))).toBe(true);
    outbox.putNamed('answer', 0, uint32(0), filled(PEER_SYNC_QUEUE_BYTES_MAX, 0));
    expect(outbox.full).toBe(true);
  });

  test('empty messages are bounded too', () => {
    const outbox = new Outbox();
    let taken = 0;
    while (outbox.put('sync', NOTHING)) taken++;
    expect(taken).toBeLessThan(PEER_SYNC_QUEUE_BYTES_MAX / 100);
  });

  test('has no more on its way than the window, votes apart', () => {
    const outbox = new Outbox();
    outbox.put('sync', filled(PEER_SYNC_BYTES_MAX, 0));
    const sent = drain(outbox).reduce((sum, frame) => sum + frame.length, 0);
    expect(sent).toBeLessThanOrEqual(PEER_WINDOW_BYTES);
    expect(sent).toBeGreaterThan(PEER_WINDOW_BYTES - PEER_FRAME_BYTES_MAX);
    outbox.put('vote', filled(10, 0));
    expect(drain(outbox).length).toBe(1);
    expect(outbox.credited(sent + 1)).toBe(false);
    expect(outbox.credited(PEER_FRAME_BYTES_MAX)).toBe(true);
    expect(drain(outbox).length).toBe(1);
  });

  test('tells the peer what has come of its bulk, a part of the window at a time', () => {
    const [outbox, back] = [new Outbox(), new Outbox()];
    const inbox = new Inbox(asked);
    let sent = 0;
    outbox.put('sync', filled(PEER_SYNC_BYTES_MAX, 3));
    for (let message: Message | null = null; message === null;) {
      const frame = outbox.next(PEER_FRAME_BYTES_MAX)!;
      sent += frame.length;
      message = inbox.receive(frame);
      back.putCredit(inbox.takeCredit());
      for (const credit of drain(back)) {
        const bytes = decodeFrame(credit).body;
        expect(outbox.credited(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0))).toBe(
          true,
        );
      }
    }
    expect(sent).toBeGreaterThan(PEER_SYNC_BYTES_MAX);
  });

  test('takes back what has not begun to leave, and says so of what has', () => {
    const [outbox, inbox] = [new Outbox(), new Inbox(asked)];
    outbox.putNamed('request', 4, uint32(4), filled(60_000, 0));
    outbox.putNamed('request', 5, uint32(5), filled(10, 0));
    outbox.cancel(5);
    expect(pass(outbox, inbox).map(({ kind }) => kind)).toEqual(['request']);
    outbox.cancel(4);
    expect(pass(outbox, inbox)).toEqual([{ kind: 'cancel', lane: 'vote', bytes: uint32(4) }]);
  });

  test('keeps the newest address of each node', () => {
    const outbox = new Outbox();
    for (const value of [1, 2, 3]) outbox.putAddress('a', filled(5, value));
    outbox.putAddress('b', filled(5, 9));
    const addresses = pass(outbox, new Inbox(asked)).map(({ bytes }) => bytes[0]);
    expect(addresses).toEqual([3, 9]);
  });
});
