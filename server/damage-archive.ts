// Keeps the bytes that a repair takes out, as evidence of what somebody did to the files. Shell.
//
// One JSON file each in <data>/evidence: time, place, and what lay there. Bounded in number and size; an operator may
// take the files away at any time.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { base64 } from '../ledger/bytes.ts';
import type { Keep } from '../storage/mend.ts';
import type { Clock } from './clock.ts';
import { EVIDENCE_FIELD_BYTES_MAX, EVIDENCE_FILES_MAX } from './limits.ts';

/** @param onFull called for each that is not kept for want of room */
export function damageArchive(
  directory: string,
  clock: Clock,
  onFull: (place: string) => void,
): Keep {
  const folder = join(directory, 'evidence');
  return (place, bytes) => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const count = readdirSync(folder).length;
    if (count >= EVIDENCE_FILES_MAX) return onFull(place);
    const time = new Date(clock.now()).toISOString();
    const text = JSON.stringify({ time, place, bytes: shown(bytes) }, null, 2);
    const name = `${time.replaceAll(':', '')}-${count + 1}.json`;
    writeFileSync(join(folder, name), `${text}\n`, { mode: 0o600 });
  };
}

/** Byte strings in base64, integers as text; what is too long is cut, with its length. */
function shown(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) {
    const kept = value.subarray(0, EVIDENCE_FIELD_BYTES_MAX);
    return { length: value.length, base64: base64(new Uint8Array(kept)) };
  }
  if (typeof value === 'string') return value.slice(0, EVIDENCE_FIELD_BYTES_MAX);
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shown(each)]));
}
