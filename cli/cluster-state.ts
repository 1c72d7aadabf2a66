// What the demo of a cluster shows of it, in one line, from what each node says of itself. Pure.
//
// Nodes may differ for a moment: leader, term and mode are the word of the node that knows the newest term.

/** What a node has answered. */
export interface NodeView {
  /** Its own. */
  readonly key: string;
  readonly mode: string;
  readonly epoch: number;
  readonly term: number;
  /** Its key; null while no leader has opened the term. */
  readonly leader: string | null;
  readonly height: number;
}

/** `silent`: it runs and does not answer. */
export type NodeState =
  | { readonly kind: 'starting' | 'silent' | 'ended' }
  | { readonly kind: 'up'; readonly view: NodeView };

/** The state of all nodes in a line. */
export function stateLine(nodes: readonly NodeState[]): string {
  const newest = newestView(nodes);
  const term = newest === null ? 'no node answers' : `${newest.mode} mode, term ${termOf(newest)}`;
  const each = nodes.map((node, place) => {
    const name = `node ${place + 1}`;
    if (node.kind !== 'up') return `${name}: ${node.kind}`;
    const { key, height } = node.view;
    // By its key: members change, and the nodes here keep their numbers.
    return `${name}: block ${height}${newest?.leader === key ? ', leads' : ''}`;
  });
  return [term, ...each].join(' | ');
}

/** The same without what changes with every block. */
export function stateKey(nodes: readonly NodeState[]): string {
  return stateLine(nodes).replaceAll(/block \d+/g, 'block');
}

function newestView(nodes: readonly NodeState[]): NodeView | null {
  let newest: NodeView | null = null;
  for (const node of nodes) {
    if (node.kind !== 'up') continue;
    const { view } = node;
    const later =
      newest === null ||
      view.epoch > newest.epoch ||
      (view.epoch === newest.epoch && view.term > newest.term) ||
      (view.epoch === newest.epoch && view.term === newest.term && newest.leader === null);
    if (later) newest = view;
  }
  return newest;
}

/** Terms are counted anew in each epoch. */
function termOf({ epoch, term }: NodeView): string {
  return epoch === 0 ? String(term) : `${term} of epoch ${epoch}`;
}
