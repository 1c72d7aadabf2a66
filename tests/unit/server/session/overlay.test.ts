// Uncommitted rows, and what queries see of them.

import { describe, expect, test } from '@jest/globals';
import { Overlay } from '../../../../server/session/overlay.ts';
import type { OverlayRow } from '../../../../server/session/overlay.ts';

const row = (rowId: bigint, value: string): OverlayRow => {
  return { rowId, version: 0n, deleted: false, values: [value] };
};

const values = (overlay: Overlay, relation: number): unknown[] | null => {
  const rows = overlay.shown(relation)?.rows.values();
  return rows === undefined ? null : [...rows].map((each) => each.values[0]);
};

describe('an overlay that is held', () => {
  test('shows what was there, and tells what has been written since', () => {
    const overlay = new Overlay();
    overlay.put(0, 7, row(1n, 'before'));
    overlay.put(0, 7, row(2n, 'untouched'));
    overlay.hold();
    expect(overlay.writtenSince(7, 1n)).toBe(false);
    overlay.put(1, 7, row(1n, 'after'));
    overlay.put(1, 8, row(3n, 'new'));
    expect(values(overlay, 7)).toEqual(['before', 'untouched']);
    expect(values(overlay, 8)).toBeNull();
    expect(overlay.row(7, 1n)?.values).toEqual(['after']);
    expect([1n, 2n].map((id) => overlay.writtenSince(7, id))).toEqual([true, false]);
    expect(overlay.writtenSince(8, 3n)).toBe(true);
    overlay.release();
    expect(values(overlay, 7)).toEqual(['after', 'untouched']);
    expect(values(overlay, 8)).toEqual(['new']);
    expect(overlay.writtenSince(7, 1n)).toBe(false);
  });

  test('has another revision for other rows', () => {
    const overlay = new Overlay();
    overlay.put(0, 7, row(1n, 'before'));
    const revision = overlay.shown(7)!.revision;
    overlay.hold();
    overlay.put(1, 7, row(1n, 'after'));
    expect(overlay.shown(7)!.revision).toBe(revision);
    overlay.release();
    expect(overlay.shown(7)!.revision).not.toBe(revision);
  });

  test('is as it was when all since is rolled back', () => {
    const overlay = new Overlay();
    overlay.put(0, 7, row(1n, 'before'));
    overlay.hold();
    overlay.put(1, 7, row(1n, 'after'));
    overlay.release();
    overlay.rollbackTo(1);
    expect(values(overlay, 7)).toEqual(['before']);
  });
});
