// What must stand before what, and the shortest circle in it. Pure.

/** Of so many circles the shortest is shown. */
const CYCLES_MAX = 20;

export interface Edge {
  readonly to: number;
  /** Why the one stands before the other. */
  readonly why: string;
}

/** Something that was sent and answered, by one clock, in milliseconds. */
export interface Timed {
  readonly invokedMs: number;
  readonly returnedMs: number;
}

/** Places after those of the history are moments (`addTime`). */
export class Graph {
  readonly edges: Edge[][];

  constructor(size: number) {
    this.edges = Array.from({ length: size }, () => []);
  }

  add(from: number | undefined, to: number | undefined, why: string): void {
    if (from !== undefined && to !== undefined && from !== to) this.edges[from]!.push({ to, why });
  }

  addMoment(): number {
    return this.edges.push([]) - 1;
  }
}

/**
 * What was answered stands before what was sent later. Answers are put on a chain of moments, since as many edges as
 * there are such pairs would be too many.
 */
export function addTime(
  graph: Graph,
  history: readonly Timed[],
  answered: readonly number[],
  sent: readonly number[],
): void {
  const answers = [...answered].sort((a, b) => history[a]!.returnedMs - history[b]!.returnedMs);
  const sends = [...sent].sort((a, b) => history[a]!.invokedMs - history[b]!.invokedMs);
  let next = 0;
  let moment: number | undefined;
  for (const at of sends) {
    const { invokedMs } = history[at]!;
    for (; next < answers.length && history[answers[next]!]!.returnedMs < invokedMs; next++) {
      const later = graph.addMoment();
      graph.add(moment, later, '');
      graph.add(answers[next], later, 'was answered before there was sent');
      moment = later;
    }
    graph.add(moment, at, '');
  }
}

/**
 * The shortest of some cycles, in one sentence; none when there is none.
 *
 * @param size   places of the history; those above are moments
 * @param shown  a place of the history for people
 */
export function cycleIn({ edges }: Graph, size: number, shown: (at: number) => string): string[] {
  const left = onCycles(edges);
  const cycles: (readonly number[])[] = [];
  for (const at of left) {
    if (at >= size) continue;
    const cycle = cycleThrough(at, edges, left);
    if (cycle !== null) cycles.push(cycle);
    if (cycles.length === CYCLES_MAX) break;
  }
  const [shortest] = cycles.sort((a, b) => a.length - b.length);
  if (shortest === undefined) return [];
  const whys = shortest.map((from, i) => {
    const to = shortest[(i + 1) % shortest.length]!;
    const { why } = edges[from]!.find((edge) => edge.to === to)!;
    return from < size ? `${shown(from)} ${why}` : why;
  });
  return [`no order explains: ${whys.filter((text) => text !== '').join(' → ')} → the first`];
}

/** Takes away, again and again, what has nothing before it: what is left is on a cycle, or behind one. */
function onCycles(edges: readonly (readonly Edge[])[]): Set<number> {
  const before = new Array<number>(edges.length).fill(0);
  for (const { to } of edges.flat()) before[to]! += 1;
  const free = [...edges.keys()].filter((at) => before[at] === 0);
  const left = new Set(edges.keys());
  for (let at = free.pop(); at !== undefined; at = free.pop()) {
    left.delete(at);
    for (const { to } of edges[at]!) {
      before[to]! -= 1;
      if (before[to] === 0) free.push(to);
    }
  }
  return left;
}

function cycleThrough(
  start: number,
  edges: readonly (readonly Edge[])[],
  left: ReadonlySet<number>,
): number[] | null {
  const from = new Map<number, number>();
  const queue = [start];
  for (const at of queue) {
    for (const { to } of edges[at]!) {
      if (to === start) {
        const path = [at];
        while (path[0] !== start) path.unshift(from.get(path[0]!)!);
        return path;
      }
      if (!left.has(to) || from.has(to)) continue;
      from.set(to, at);
      queue.push(to);
    }
  }
  return null;
}
