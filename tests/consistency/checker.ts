// Whether a history of lists can be explained: is there one order of its transactions that everybody's answers follow? Pure.
//
// Appended values are unique, so a read tells which appends came before it, and in which order: from the reads
// alone follows which transaction must stand before which. To that is added what the nodes promise of time
// (docs/ledger-sql.md, "How new a read is"):
//
// (1) whatever was answered at any node stands before a write, or a linearizable read, that was sent after that;
// (2) whatever was answered at a node stands before whatever was sent to that node after that.
//
// A cycle in these is an answer that was wrong: with (1) writes are strictly serializable, and linearizable reads are
// what they say; with (2) other reads are monotonic, see their node's own writes, and are snapshots of one moment.
// It is the method of Elle (Kingsbury and Alvaro, 2020), for one data type.

import { addTime, cycleIn, Graph } from './graph.ts';
import type { Operation } from './history.ts';

/** What cannot be explained, one sentence each; empty when all of it can. */
export function anomalies(history: readonly Operation[]): string[] {
  const writers = writersOf(history);
  const orders = ordersOf(history);
  const wrong = [
    ...history.flatMap((reader) => wrongReads(reader, history, writers, orders)),
    ...lostAppends(history, orders),
  ];
  // Which transaction stands before which says nothing where one list has had two orders.
  if (wrong.length > 0) return wrong;
  return cycleIn(graphOf(history, writers, orders), history.length, (at) => shown(history[at]!));
}

/** Who appended each value, by its place in the history. */
function writersOf(history: readonly Operation[]): Map<number, number> {
  const writers = new Map<number, number>();
  for (const [at, { appends }] of history.entries()) {
    for (const { value } of appends) {
      if (writers.has(value)) throw new Error(`${value} is appended by two operations`);
      writers.set(value, at);
    }
  }
  return writers;
}

/** The most that anybody has read of each list. */
function ordersOf(history: readonly Operation[]): Map<string, readonly number[]> {
  const orders = new Map<string, readonly number[]>();
  for (const { reads, outcome } of history) {
    if (outcome !== 'done') continue;
    for (const { list, values } of reads) {
      if (values.length > (orders.get(list)?.length ?? -1)) orders.set(list, values);
    }
  }
  return orders;
}

function wrongReads(
  reader: Operation,
  history: readonly Operation[],
  writers: ReadonlyMap<number, number>,
  orders: ReadonlyMap<string, readonly number[]>,
): string[] {
  if (reader.outcome !== 'done') return [];
  return reader.reads.flatMap(({ list, values }) => {
    const where = `node ${reader.node + 1} read list ${list}`;
    const faults: string[] = [];
    const seen = new Set<number>();
    for (const value of values) {
      if (seen.has(value)) faults.push(`${where}: ${value} is there twice`);
      seen.add(value);
      const writer = history[writers.get(value) ?? -1];
      if (!writer?.appends.some((each) => each.list === list && each.value === value)) {
        faults.push(`${where}: ${value}, which nobody has appended to it`);
      } else if (writer.outcome === 'refused') {
        faults.push(`${where}: ${value}, which was refused`);
      }
    }
    const order = orders.get(list)!;
    const at = values.findIndex((value, i) => value !== order[i]);
    if (at !== -1) faults.push(`${where}: ${values[at]} where others read ${order[at]}`);
    return faults;
  });
}

/** What was acknowledged, and nobody has read although somebody who read everything came later. */
function lostAppends(
  history: readonly Operation[],
  orders: ReadonlyMap<string, readonly number[]>,
): string[] {
  const newest = new Map<string, number>();
  for (const { outcome, linearizable, reads, invokedMs } of history) {
    if (outcome !== 'done' || !linearizable) continue;
    for (const { list } of reads) newest.set(list, Math.max(newest.get(list) ?? 0, invokedMs));
  }
  const read = new Map([...orders].map(([list, values]) => [list, new Set(values)]));
  return history.flatMap(({ outcome, appends, node, returnedMs }) =>
    appends
      .filter(({ list, value }) => outcome === 'done' && !read.get(list)?.has(value))
      .filter(({ list }) => returnedMs < (newest.get(list) ?? -Infinity))
      .map(
        ({ list, value }) => `list ${list}: ${value}, acknowledged by node ${node + 1}, is lost`,
      ),
  );
}

function graphOf(
  history: readonly Operation[],
  writers: ReadonlyMap<number, number>,
  orders: ReadonlyMap<string, readonly number[]>,
): Graph {
  const graph = new Graph(history.length);
  addData(graph, history, writers, orders);
  const all = [...history.keys()].filter((at) => happened(history[at]!, orders));
  const strict = (at: number) => history[at]!.linearizable || history[at]!.appends.length > 0;
  const done = (at: number) => history[at]!.outcome === 'done';
  addTime(graph, history, all.filter(done), all.filter(strict));
  for (const node of new Set(history.map((each) => each.node))) {
    const here = all.filter((at) => history[at]!.node === node);
    addTime(graph, history, here.filter(done), here);
  }
  return graph;
}

/** An operation of unknown outcome has happened if somebody has read what it appended. */
function happened(
  { outcome, appends }: Operation,
  orders: ReadonlyMap<string, readonly number[]>,
): boolean {
  if (outcome !== 'unknown') return outcome === 'done';
  return appends.some(({ list, value }) => orders.get(list)?.includes(value));
}

/** What follows from the lists: who read whose value, and who did not. */
function addData(
  graph: Graph,
  history: readonly Operation[],
  writers: ReadonlyMap<number, number>,
  orders: ReadonlyMap<string, readonly number[]>,
): void {
  for (const [list, order] of orders) {
    for (const [i, value] of order.entries()) {
      if (i === 0) continue;
      graph.add(writers.get(order[i - 1]!), writers.get(value), `its value in ${list} is below`);
    }
  }
  const unread = new Map<string, number[]>();
  for (const [at, { outcome, appends }] of history.entries()) {
    if (outcome !== 'done') continue;
    for (const { list, value } of appends) {
      const order = orders.get(list) ?? [];
      if (order.includes(value)) continue;
      unread.set(list, [...(unread.get(list) ?? []), at]);
      graph.add(writers.get(order.at(-1) ?? -1), at, `its value in ${list} is below`);
    }
  }
  for (const [at, { outcome, reads }] of history.entries()) {
    if (outcome !== 'done') continue;
    for (const { list, values } of reads) {
      graph.add(writers.get(values.at(-1) ?? -1), at, `its value in ${list} was read by`);
      const next = orders.get(list)![values.length];
      const unseen = next === undefined ? (unread.get(list) ?? []) : [writers.get(next)];
      for (const writer of unseen) graph.add(at, writer, `did not read in ${list} the value of`);
    }
  }
}

function shown({ node, invokedMs, returnedMs, linearizable, reads, appends }: Operation): string {
  const did = [
    ...reads.map(({ list, values }) => `read ${list} up to ${values.at(-1) ?? 'nothing'}`),
    ...appends.map(({ list, value }) => `append ${value} to ${list}`),
  ];
  const when = `${invokedMs.toFixed(1)}–${returnedMs.toFixed(1)} ms`;
  return `[node ${node + 1}, ${when}${linearizable ? ', linearizable' : ''}: ${did.join(', ')}]`;
}
