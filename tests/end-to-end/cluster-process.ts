// A whole cluster for tests: its nodes as real processes on this machine. Shell.

import { createServer } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { PeerLinks } from './peer-links.ts';
import { NodeProcess, trustsql } from './process.ts';
import type { Finished } from './process.ts';

/** How long nodes may take to have executed the same blocks, in ms. */
const AGREE_TIMEOUT_MS = 60_000;
const LOOK_MS = 100;
/** Where to look for ports that lie next to each other. */
const PORTS_FROM = 20_000;
const PORTS_TO = 30_000;

export class ClusterProcess {
  readonly directory: string;
  readonly nodes: readonly NodeProcess[];
  /** Where each node listens for the others. */
  readonly peerPorts: readonly number[];
  readonly #newcomers: NodeProcess[] = [];

  private constructor(
    directory: string,
    nodes: readonly NodeProcess[],
    peerPorts: readonly number[],
  ) {
    this.directory = directory;
    this.nodes = nodes;
    this.peerPorts = peerPorts;
  }

  /** Founds a cluster and starts its nodes. Dispose of it when done. */
  static async start(
    count: number,
    consensus: 'raft' | 'bft' | 'adaptive',
    ...flags: string[]
  ): Promise<ClusterProcess> {
    const cluster = await ClusterProcess.found(count, consensus, ...flags);
    try {
      await cluster.startAll();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** The same without starting them. */
  static async found(
    count: number,
    consensus: 'raft' | 'bft' | 'adaptive',
    ...flags: string[]
  ): Promise<ClusterProcess> {
    const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-cluster-'));
    const port = await freePorts(count * 2);
    const peerPort = port + count;
    const data = path.join(directory, 'cluster');
    const made = await trustsql(
      ...['cluster', 'init', '--data', data, '--key-file', path.join(directory, 'master.key')],
      ...['--nodes', String(count), '--consensus', consensus],
      ...['--port', String(port), '--peer-port', String(peerPort)],
    );
    if (made.code !== 0) throw new Error(made.stderr);
    const nodes = Array.from({ length: count }, (_, i) =>
      NodeProcess.on(directory, path.join(data, `node${i + 1}`), port + i, [
        ...['--peer-port', String(peerPort + i), '--readers', '1'],
        ...flags,
      ]),
    );
    const peerPorts = nodes.map((_, i) => peerPort + i);
    return new ClusterProcess(directory, nodes, peerPorts);
  }

  async startAll(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()));
  }

  /** Starts nodes that do not run, with links between them that can be cut. Dispose of these before the cluster. */
  async startLinked(): Promise<PeerLinks> {
    const links = await PeerLinks.between(this.peerPorts);
    for (const [i, node] of this.nodes.entries()) {
      node.startFlags = [...node.startFlags, ...links.flagsOf(i)];
    }
    try {
      await this.startAll();
    } catch (error) {
      await links[Symbol.asyncDispose]();
      throw error;
    }
    return links;
  }

  /**
   * Makes and starts a node that the cluster does not know yet. It is not among `nodes`, and ends with them.
   *
   * @returns it, how it is named to be added, and the file with its part
   */
  async newcomer(
    name: string,
  ): Promise<{ readonly node: NodeProcess; readonly place: string; readonly part: string }> {
    const genesis = path.join(this.directory, 'cluster', 'genesis.json');
    const newcomer = await newcomerOf(this.directory, name, genesis);
    this.#newcomers.push(newcomer.node);
    await newcomer.node.start();
    return newcomer;
  }

  /** Without TLS, of all nodes. */
  urls(): Promise<string[]> {
    return Promise.all(this.nodes.map((node) => node.clearUrl()));
  }

  /** Waits until these nodes have executed the same blocks. @returns the height */
  async agreed(nodes: readonly NodeProcess[] = this.nodes): Promise<number> {
    return agreed(nodes);
  }

  /** What nodes have written, for whoever looks for the reason of a fault. */
  get output(): string {
    return this.nodes.map((node, i) => `node ${i + 1}:\n${node.output}`).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.nodes, ...this.#newcomers].map((node) => node.kill()));
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Makes a node of a ledger that does not know it yet, and does not start it. @param genesis  file with block 0 */
export async function newcomerOf(
  directory: string,
  name: string,
  genesis: string,
  ...startFlags: string[]
): Promise<{ readonly node: NodeProcess; readonly place: string; readonly part: string }> {
  const port = await freePorts(2);
  const address = `127.0.0.1:${port + 1}`;
  const node = NodeProcess.on(directory, path.join(directory, name), port, [
    ...['--peer-port', String(port + 1), '--readers', '1'],
    ...startFlags,
  ]);
  const command = async (...parameters: string[]): Promise<Finished> => {
    const made = await trustsql('cluster', ...parameters, ...node.flags, '--json');
    if (made.code !== 0) throw new Error(made.stderr);
    return made;
  };
  const made = await command('key', '--name', name, '--address', address);
  const { nodeKey, part } = JSON.parse(made.stdout) as { nodeKey: string; part: string };
  await command('join', '--genesis', genesis, '--newcomer');
  return { node, place: `${nodeKey}@${address}`, part };
}

/** Waits until these nodes have executed the same blocks. @returns the height */
export async function agreed(nodes: readonly NodeProcess[]): Promise<number> {
  const end = Date.now() + AGREE_TIMEOUT_MS;
  for (;;) {
    const tips = await Promise.all(nodes.map(tipOf));
    if (new Set(tips.map(({ hash }) => hash)).size === 1) return tips[0]!.height;
    if (Date.now() > end) throw new Error(`the nodes do not agree: ${JSON.stringify(tips)}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Runs statements, one after the other, on a connection of their own. @returns the rows of the last */
export async function query(
  node: NodeProcess,
  ...statements: readonly string[]
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  client.on('error', () => undefined);
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const text of statements) ({ rows } = await client.query<Record<string, unknown>>(text));
    return rows;
  } finally {
    await client.end();
  }
}

async function tipOf(node: NodeProcess): Promise<{ height: number; hash: string }> {
  const text = `SELECT height, encode(hash, 'hex') AS hash FROM ledger.blocks ORDER BY height DESC LIMIT 1`;
  const [row] = await query(node, text);
  return { height: Number(row!['height']), hash: String(row!['hash']) };
}

/** The first of so many ports in a row that nobody listens on now. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = PORTS_FROM + Math.floor(Math.random() * (PORTS_TO - PORTS_FROM));
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)));
    if (free.every(Boolean)) return first;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
