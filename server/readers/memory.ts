// How much memory another process takes. Shell.
//
// Neither SQLite nor V8 bounds a reader by itself: better-sqlite3's SQLite counts no memory (so its heap limit
// has no effect), and V8's limit leaves out what lies beyond its heap. So the pool looks from outside.

import { readFileSync } from 'node:fs';

/** Resident memory of a process in MiB, mapped files left out; null where the system does not tell (it has no /proc) or it is gone. */
export function residentMib(pid: number): number | null {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return null;
  }
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1];
  return kib === undefined ? null : Number(kib) / 1024;
}
