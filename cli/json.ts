// What the ledger holds as JSON for programs. Pure.

import { hex } from '../ledger/bytes.ts';

/** Indented, with a last newline; bytes as hexadecimal, integers of 64 bits as text. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, printable, 2)}\n`;
}

/** Looks at `this`: the value that JSON.stringify hands over has gone through a Buffer's own toJSON. */
function printable(this: Record<string, unknown>, name: string, shown: unknown): unknown {
  const value = this[name];
  if (typeof value === 'bigint') return value.toString();
  if (ArrayBuffer.isView(value)) return hex(value as Uint8Array);
  return value instanceof Map ? Object.fromEntries(value) : shown;
}
