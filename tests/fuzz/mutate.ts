// Inputs made of others: bytes changed, lengths that lie, parts left out, doubled, exchanged or spliced. Pure.

import { concat } from '../../ledger/bytes.ts';
import type { Random } from '../unit/ledger/random.ts';

/** Bytes that decoders compare with: ends of ranges, heads of CBOR, quotes, signs and separators. */
const MARKS = Uint8Array.of(
  ...[0, 1, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x3b, 0x40, 0x5b, 0x7b, 0x7f, 0x80, 0x9b, 0xbb, 0xf6, 0xfb, 0xff],
  ...[0x09, 0x0a, 0x0d, 0x20, 0x22, 0x27, 0x28, 0x2c, 0x2d, 0x2e, 0x30, 0x39, 0x3a, 0x45, 0x5c, 0x65, 0x7d],
); // prettier-ignore
/** Lengths and counts that are not so. */
const LENGTHS = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const CHANGES_MAX = 4;
const PIECE_BYTES_MAX = 64;
/** Inputs of nothing known are rarely of use: the first check refuses them. */
const NOISE_SHARE = 50;

/** Longest input; longer ones come of doubling. */
export const INPUT_BYTES_MAX = 64 * 1024;

export function mutated(random: Random, seeds: readonly Uint8Array[]): Uint8Array {
  if (random.below(NOISE_SHARE) === 0) return random.bytes(random.below(PIECE_BYTES_MAX));
  let bytes = random.pick(seeds);
  for (let changes = 1 + random.below(CHANGES_MAX); changes > 0; changes--) {
    bytes = changed(random, bytes, seeds);
  }
  return bytes.length > INPUT_BYTES_MAX ? bytes.slice(0, INPUT_BYTES_MAX) : bytes;
}

function changed(random: Random, bytes: Uint8Array, seeds: readonly Uint8Array[]): Uint8Array {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + random.below(PIECE_BYTES_MAX));
  const [before, piece, after] = [
    bytes.subarray(0, at),
    bytes.subarray(at, end),
    bytes.subarray(end),
  ];
  switch (random.below(9)) {
    case 0:
      return overwritten(bytes, at, [(bytes[at] ?? 0) ^ (1 << random.below(8))]);
    case 1:
      return overwritten(bytes, at, [random.pick([...MARKS])]);
    case 2:
      return overwritten(bytes, at, [...random.bytes(1 + random.below(4))]);
    case 3: {
      const length = random.pick(LENGTHS);
      return overwritten(
        bytes,
        at,
        [24, 16, 8, 0].map((shift) => (length >>> shift) & 0xff),
      );
    }
    case 4:
      return before.slice();
    case 5:
      return concat(before, after);
    case 6:
      return concat(before, piece, piece, after);
    case 7:
      return concat(before, Uint8Array.of(random.pick([...MARKS])), bytes.subarray(at));
    default: {
      const other = random.pick(seeds);
      return concat(before, other.subarray(random.below(other.length + 1)));
    }
  }
}

function overwritten(bytes: Uint8Array, at: number, values: readonly number[]): Uint8Array {
  const copy = bytes.slice();
  values.forEach((value, i) => {
    if (at + i < copy.length) copy[at + i] = value;
  });
  return copy;
}
