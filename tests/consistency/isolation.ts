// Whether transactions at one isolation level have seen what that level promises. Pure.
//
// As in checker.ts the values of lists tell which transaction stands before which: by a write over a write (ww), by a read of a
// write (wr), because one has not read what the other wrote (rw), or because it was answered before the other began. Promised is,
// in the words of Adya (1999), on top of each other:
//
// READ COMMITTED   nothing is read that was rolled back (G1a) or is not what its transaction left (G1b); no circle of ww and
//                  wr (G0, G1c); no statement misses what was acknowledged before its transaction began; no append is lost
// REPEATABLE READ  a list reads the same twice, and no circle has rw that are all apart (G-single): snapshot isolation, so
//                  that an update over a value of another snapshot shows too (P4)
// SERIALIZABLE     no circle (G2)
//
// The last transaction must have read all lists.

import type { Level } from './anomalies.ts';
import { addTime, cycleIn, Graph } from './graph.ts';
import type { Edge } from './graph.ts';
import type { Append, Transaction } from './history.ts';

interface Writer {
  readonly at: number;
  readonly undone: boolean;
  /** Whether its transaction has left no later value in the list. */
  readonly last: boolean;
}

/** What a transaction has read of a list, without what it had appended itself. */
interface Seen {
  readonly list: string;
  readonly values: readonly number[];
}

/** What cannot be at this level, one sentence each. */
export function isolationFaults(history: readonly Transaction[], level: Level): string[] {
  const writers = writersOf(history);
  const faults: string[] = [];
  const seen = history.map((transaction) => seenBy(transaction, level, faults));
  const orders = new Map(seen.at(-1)?.map(({ list, values }) => [list, values]));
  for (const [at, reads] of seen.entries()) {
    for (const read of reads) faults.push(...wrongRead(at, read, history, writers, orders));
  }
  for (const [key, { at, undone }] of writers) {
    const [list = '', value] = key.split(' ');
    if (history[at]!.outcome !== 'done' || undone) continue;
    if (orders.get(list)?.includes(Number(value)) === true) continue;
    faults.push(`list ${list}: ${value} of session ${history[at]!.session} is lost`);
  }
  return faults.length > 0 ? faults : circles(history, level, seen, writers, orders);
}

function keyOf({ list, value }: Append): string {
  return `${list} ${value}`;
}

function writersOf(history: readonly Transaction[]): Map<string, Writer> {
  const writers = new Map<string, Writer>();
  for (const [at, { steps }] of history.entries()) {
    const undone = new Set(
      steps.flatMap((step) => (step.kind === 'undo' ? step.appends.map(keyOf) : [])),
    );
    const last = new Map<string, number>();
    for (const step of steps) {
      if (step.kind !== 'append') continue;
      if (!undone.has(keyOf(step.append))) last.set(step.append.list, step.append.value);
    }
    for (const step of steps) {
      if (step.kind !== 'append') continue;
      const { append } = step;
      if (writers.has(keyOf(append))) throw new Error(`${keyOf(append)} is appended twice`);
      const isLast = last.get(append.list) === append.value;
      writers.set(keyOf(append), { at, undone: undone.has(keyOf(append)), last: isLast });
    }
  }
  return writers;
}

/** Its reads without its own values, which must be at the end; above READ COMMITTED each list reads alike. */
function seenBy({ session, steps }: Transaction, level: Level, faults: string[]): Seen[] {
  const own = new Map<string, number[]>();
  const first = new Map<string, readonly number[]>();
  const seen: Seen[] = [];
  for (const step of steps) {
    if (step.kind === 'append') {
      const { list, value } = step.append;
      own.set(list, [...(own.get(list) ?? []), value]);
    } else if (step.kind === 'undo') {
      for (const { list, value } of step.appends) {
        own.set(
          list,
          own.get(list)!.filter((each) => each !== value),
        );
      }
    } else {
      for (const { list, values } of step.reads) {
        const mine = own.get(list) ?? [];
        const others = values.slice(0, Math.max(0, values.length - mine.length));
        if (values.slice(others.length).join() !== mine.join()) {
          faults.push(`session ${session} read list ${list} without its own ${mine.join(' ')}`);
        }
        const before = first.get(list);
        if (before === undefined) first.set(list, others);
        else if (level !== 'read committed' && before.join() !== others.join()) {
          faults.push(
            `session ${session} read list ${list} as ${before.join(' ')} and as ${others.join(' ')}`,
          );
        }
        seen.push({ list, values: others });
      }
    }
  }
  return seen;
}

function wrongRead(
  at: number,
  { list, values }: Seen,
  history: readonly Transaction[],
  writers: ReadonlyMap<string, Writer>,
  orders: ReadonlyMap<string, readonly number[]>,
): string[] {
  const where = `session ${history[at]!.session} read list ${list}`;
  const order = orders.get(list) ?? [];
  const faults: string[] = [];
  for (const [i, value] of values.entries()) {
    const writer = writers.get(keyOf({ list, value }));
    if (writer === undefined) faults.push(`${where}: ${value}, which nobody has appended to it`);
    else if (history[writer.at]!.outcome === 'refused' || writer.undone) {
      faults.push(`${where}: ${value}, which was rolled back`);
    } else if (i === values.length - 1 && !writer.last) {
      faults.push(`${where}: ${value}, which its transaction has not left so`);
    }
  }
  if (values.some((value, i) => value !== order[i])) {
    faults.push(`${where}: ${values.join(' ')} where it was ${order.join(' ')} in the end`);
  }
  return faults;
}

function circles(
  history: readonly Transaction[],
  level: Level,
  seen: readonly (readonly Seen[])[],
  writers: ReadonlyMap<string, Writer>,
  orders: ReadonlyMap<string, readonly number[]>,
): string[] {
  const done = [...history.keys()].filter((at) => history[at]!.outcome === 'done');
  const writerOf = (list: string, value: number | undefined): number | undefined =>
    value === undefined ? undefined : writers.get(keyOf({ list, value }))!.at;
  const graph = new Graph(history.length);
  const unread = new Graph(history.length);
  for (const [list, order] of orders) {
    for (const [i, value] of order.entries()) {
      if (i === 0) continue;
      graph.add(
        writerOf(list, order[i - 1]),
        writerOf(list, value),
        `its value in ${list} is below`,
      );
    }
  }
  for (const at of done) {
    for (const { list, values } of seen[at]!) {
      graph.add(writerOf(list, values.at(-1)), at, `its value in ${list} was read by`);
      const next = writerOf(list, orders.get(list)?.[values.length]);
      unread.add(at, next, `did not read in ${list} the value of`);
    }
  }
  addTime(graph, history, done, done);
  const shownAt = (at: number): string => shown(history[at]!);
  if (level === 'read committed') {
    return [...stale(history, unread, shownAt), ...cycleIn(graph, history.length, shownAt)];
  }
  if (level === 'serializable') for (const at of done) graph.edges[at]!.push(...unread.edges[at]!);
  else addApart(graph, unread, shownAt);
  return cycleIn(graph, history.length, shownAt);
}

/** What was acknowledged before the transaction began that has not read it. */
function stale(
  history: readonly Transaction[],
  unread: Graph,
  shownAt: (at: number) => string,
): string[] {
  return unread.edges.flatMap((edges, at) =>
    edges
      .filter(({ to }) => history[to]!.returnedMs < history[at]!.invokedMs)
      .map(({ to, why }) => `${shownAt(at)} ${why} ${shownAt(to)}, which was acknowledged before`),
  );
}

/** Adds each rw behind something that is none, as one edge: so no two of them can follow each other in a circle. */
function addApart(graph: Graph, unread: Graph, shownAt: (at: number) => string): void {
  for (const edges of graph.edges) {
    const longer = edges.flatMap(({ to, why }): Edge[] =>
      (unread.edges[to] ?? []).map((edge) => ({
        to: edge.to,
        why: `${why} ${shownAt(to)}, which ${edge.why}`,
      })),
    );
    edges.push(...longer);
  }
}

function shown({ session, invokedMs, returnedMs, steps }: Transaction): string {
  const did = steps.map((step) => {
    if (step.kind === 'append') return `append ${step.append.value} to ${step.append.list}`;
    if (step.kind === 'undo') return `undo ${step.appends.map(({ value }) => value).join(' ')}`;
    return step.reads
      .map(({ list, values }) => `read ${list} up to ${values.at(-1) ?? 'nothing'}`)
      .join(', ');
  });
  return `[session ${session}, ${invokedMs.toFixed(1)}–${returnedMs.toFixed(1)} ms: ${did.join(', ')}]`;
}
