// `trustsql cluster demo`: a whole cluster on this machine, each node a process of its own. Shell.
//
// (1) What it starts it ends: nodes are asked to stop when it is, and when it ends for any other reason.
// (2) A node that ends by itself is shown, and nothing is done about it: whoever tries the cluster wants to see
//     that the others go on, and what happens when it comes back.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../server/clock.ts';
import { CONFIG_FILE } from '../server/config.ts';
import type { Config } from '../server/config.ts';
import { requireFreePorts } from '../server/free-ports.ts';
import { checkPlan, makeLocalCluster } from '../server/founding/local.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { clusterText } from './cluster.ts';
import type { InitFlags } from './cluster.ts';
import { stateKey, stateLine } from './cluster-state.ts';
import type { NodeState, NodeView } from './cluster-state.ts';
import { connect } from './connect.ts';
import type { Connection } from './connect.ts';
import { CommandError, EXIT } from './exit.ts';

/** Between two questions to a node, and two looks at the answers, in ms. */
const LOOK_MS = 500;
/** A node that has not answered for so long, in ms, is silent. */
const SILENT_MS = 3_000;
/** Between two lines in which only heights differ, in ms, where lines are not written over. */
const LINE_EVERY_MS = 10_000;

const ERASE_LINE = '\r\x1b[K';
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

const STATE = `
  SELECT c.mode, c.epoch, c.term, c.height, c.leader, n.public_key
  FROM ledger.consensus c CROSS JOIN ledger.nodes n WHERE n.this_node`;

/** Resolves when all nodes have stopped. @throws CommandError 3 when all have ended by themselves; of the ports of a new cluster */
export async function runClusterDemo(config: Config, flags: InitFlags): Promise<void> {
  const folder = config.data;
  if (existsSync(join(folder, 'genesis.json'))) {
    const kept = 'options but --data are for a new one';
    process.stdout.write(`The cluster in ${folder} goes on as it was made: ${kept}.\n`);
  } else await makeCluster(config, flags);
  const stop = new AbortController();
  const nodes = foldersOf(folder).map((data) => new DemoNode(data, stop.signal));
  const killAll = (): void => nodes.forEach((node) => node.stop());
  process.on('exit', killAll);
  const onSignal = (): void => {
    // Whoever asks twice does not want to wait: a node asked twice ends at once.
    if (stop.signal.aborted) return killAll();
    stop.abort();
    process.stdout.write(`${process.stdout.isTTY ? ERASE_LINE : ''}Stopping …\n`);
    killAll();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  process.stdout.write(connectionText(folder, nodes));
  const shown = show(nodes, stop.signal);
  await Promise.all(nodes.map((node) => node.ended));
  const asked = stop.signal.aborted;
  stop.abort();
  await shown;
  if (!asked) throw new CommandError(EXIT.unavailable, 'all nodes have ended');
  process.stdout.write(`All nodes have stopped. The ledger is in ${folder}.\n`);
}

async function makeCluster(config: Config, { nodes, ...rest }: InitFlags): Promise<void> {
  const options = { ...rest, nodes: Number(nodes) };
  checkPlan(config, options);
  const places = Array.from({ length: options.nodes }, (_, index) => index);
  // The addresses of its nodes are in block 0: once it is made, another port is of no help.
  await requireFreePorts(
    config.host,
    places.map((place) => config.port + place),
  );
  await requireFreePorts(
    config.peerHost,
    places.map((place) => config.peerPort + place),
  );
  const made = makeLocalCluster(config, nativeCrypto, systemClock, options);
  process.stdout.write(`A new cluster is in ${config.data}.\n${clusterText(made)}`);
}

function foldersOf(folder: string): string[] {
  const number = (name: string): number => Number(/^node(\d+)$/.exec(name)?.[1] ?? NaN);
  const names = readdirSync(folder).filter((name) => !Number.isNaN(number(name)));
  return names.sort((a, b) => number(a) - number(b)).map((name) => join(folder, name));
}

/** Passwords are shown to a person only: a file that output goes to would keep them. */
function connectionText(folder: string, nodes: readonly DemoNode[]): string {
  const urlIn = (data: string): string => {
    const file = join(data, 'admin.url');
    return process.stdout.isTTY ? readFileSync(file, 'utf8').trim() : `$(cat ${file})`;
  };
  const each = nodes.map(({ data }, place) => `  node ${place + 1}  psql "${urlIn(data)}"\n`);
  return (
    `Starting ${nodes.length} nodes; each writes its log to ${join(folder, 'node<number>.log')}.\n` +
    `To connect, paste one of these:\n${each.join('')}  any     psql "${urlIn(folder)}"\n` +
    `Ctrl-C stops them all. To see one fail: kill -9 <its process>\n` +
    nodes.map(({ pid }, place) => `  node ${place + 1}  process ${pid}\n`).join('')
  );
}

/** Writes the state whenever it has changed. */
async function show(nodes: readonly DemoNode[], signal: AbortSignal): Promise<void> {
  const { stdout } = process;
  const told = new Set<DemoNode>();
  let [line, key, writtenMs] = ['', '', -Infinity];
  while (!signal.aborted) {
    for (const node of nodes) {
      if (!node.hasEnded || told.has(node)) continue;
      told.add(node);
      stdout.write(`${stdout.isTTY && line !== '' ? '\n' : ''}${node.endText}`);
    }
    const states = nodes.map((node) => node.state);
    const [newLine, newKey, nowMs] = [stateLine(states), stateKey(states), systemClock.elapsed()];
    const due = newKey !== key || (newLine !== line && nowMs - writtenMs >= LINE_EVERY_MS);
    if (stdout.isTTY && newLine !== line) {
      stdout.write(`${newKey === key || line === '' ? ERASE_LINE : '\n'}${newLine}`);
      line = newLine;
    } else if (!stdout.isTTY && due) {
      stdout.write(`${newLine}\n`);
      [line, writtenMs] = [newLine, nowMs];
    }
    key = newKey;
    await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** One node: its process, and what it says of the cluster. */
class DemoNode {
  readonly data: string;
  /** Resolves when its process is gone. */
  readonly ended: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #signal: AbortSignal;
  #view: NodeView | null = null;
  #answeredMs = -Infinity;

  constructor(data: string, signal: AbortSignal) {
    this.data = data;
    this.#signal = signal;
    const log = openSync(this.#log, 'w', 0o600);
    this.#child = spawn(
      process.execPath,
      ['--use-largepages=silent', MAIN, 'start', '--config', this.#config],
      // A group of its own: Ctrl-C reaches this process alone, which then asks the nodes, once.
      { stdio: ['ignore', log, log], detached: true },
    );
    closeSync(log);
    this.ended = once(this.#child, 'exit').catch(() => undefined);
    void this.#watch();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get state(): NodeState {
    if (this.#view !== null && systemClock.elapsed() - this.#answeredMs < SILENT_MS) {
      return { kind: 'up', view: this.#view };
    }
    if (this.hasEnded) return { kind: 'ended' };
    return { kind: this.#view === null ? 'starting' : 'silent' };
  }

  /** How it ended, and what to do about it. */
  get endText(): string {
    const { exitCode, signalCode } = this.#child;
    const how = signalCode === null ? `with exit code ${exitCode}` : `by ${signalCode}`;
    const last = readFileSync(this.#log, 'utf8').trimEnd().split('\n').at(-1) ?? '';
    return (
      `${this.data} has ended ${how}${last === '' ? '' : `; its log ends with: ${last}`}\n` +
      `To start it again, elsewhere: npx trustsql start --config ${this.#config}\n`
    );
  }

  stop(): void {
    if (!this.hasEnded) this.#child.kill('SIGTERM');
  }

  get #log(): string {
    return `${this.data}.log`;
  }

  get #config(): string {
    return join(this.data, CONFIG_FILE);
  }

  /** Asks again and again, whoever has started the process that answers. */
  async #watch(): Promise<void> {
    let connection: Connection | null = null;
    while (!this.#signal.aborted) {
      try {
        const onNotice = (): void => undefined;
        connection ??= await connect({ url: undefined, data: this.data, onNotice });
        const [answer] = await connection.query(STATE);
        this.#view = viewOf(answer!.rows[0]!);
        this.#answeredMs = systemClock.elapsed();
      } catch {
        // It is not up, or no longer: the next question will tell.
        if (this.hasEnded) this.#answeredMs = -Infinity;
        // Whoever is gone says no goodbye: nothing is waited for.
        void connection?.close().catch(() => undefined);
        connection = null;
      }
      await delay(LOOK_MS, undefined, { signal: this.#signal }).catch(() => undefined);
    }
    await connection?.close().catch(() => undefined);
  }
}

function viewOf(row: readonly (string | null)[]): NodeView {
  const [mode, epoch, term, height, leader, key] = row;
  return {
    key: key!,
    mode: mode!,
    epoch: Number(epoch),
    term: Number(term),
    leader: leader ?? null,
    height: Number(height),
  };
}
