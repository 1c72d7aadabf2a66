// `trustsql cluster …`: several organisations found one ledger, or one operator makes a whole cluster. Shell.
//
// What is public is printed; a password is in admin.url only.

import { join } from 'node:path';
import { hex } from '../ledger/bytes.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import type { Quorums } from '../ledger/quorum.ts';
import { systemClock } from '../server/clock.ts';
import type { Config } from '../server/config.ts';
import {
  foundCluster,
  inviteTo,
  joinCluster,
  prepareNode,
  returnToCluster,
} from '../server/founding/found.ts';
import { describeGenesis } from '../server/founding/genesis.ts';
import type { ClusterConsensus } from '../server/founding/genesis.ts';
import type { GenesisBlock } from '../server/founding/genesis-file.ts';
import { makeLocalCluster } from '../server/founding/local.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { CommandError, EXIT, hexOf } from './exit.ts';
import { jsonText } from './json.ts';

export interface KeyFlags {
  readonly name: string;
  readonly address: string;
  readonly json?: boolean;
}

export interface GenesisFlags {
  readonly consensus: ClusterConsensus;
  readonly database: string;
  readonly out: string;
  readonly json?: boolean;
}

export interface InviteFlags {
  readonly data?: string;
  readonly out: string;
  readonly json?: boolean;
}

export interface JoinFlags {
  readonly genesis: string;
  readonly chainId?: string;
  readonly newcomer?: boolean;
  readonly returning?: boolean;
  readonly json?: boolean;
}

export interface InitFlags {
  readonly nodes: string;
  readonly consensus: ClusterConsensus;
  readonly database: string;
  readonly json?: boolean;
}

export function runKey(config: Config, { name, address, json }: KeyFlags): void {
  const { part, partFile, masterKeyFile } = prepareNode(
    config,
    nativeCrypto,
    systemClock,
    name,
    address,
  );
  const adminUrl = join(config.data, 'admin.url');
  if (json === true) {
    const made = { data: config.data, part: partFile, ...part, masterKeyFile, adminUrl };
    process.stdout.write(jsonText(made));
    return;
  }
  const unknown = 'not given: each of the others must name it in its option peers';
  process.stdout.write(
    `The keys of "${name}" are in ${config.data}.\n` +
      `  node key    ${hex(part.nodeKey)}\n` +
      `  address     ${address === '' ? unknown : address}\n` +
      `  admin role  ${part.role}, in ${adminUrl}\n` +
      `  master key  ${masterKeyFile}\n` +
      `  part        ${partFile}\n` +
      'Give the part to whoever founds the cluster: there is no secret in it.\n' +
      'Back up the master key: without it the keys in the data directory are lost.\n',
  );
}

export function runGenesis(
  config: Config,
  partFiles: readonly string[],
  flags: GenesisFlags,
): void {
  const { consensus, database, out } = flags;
  const options = { consensus, database, partFiles, out };
  const made = foundCluster(config, nativeCrypto, systemClock, options);
  if (flags.json === true) {
    process.stdout.write(jsonText({ data: config.data, genesis: out, ...jsonOf(made) }));
    return;
  }
  process.stdout.write(
    `A new ledger is in ${config.data}.\n${clusterText(made)}` +
      `Give ${out} to the others, and tell each of them the chain by another way than the file:\n` +
      `  trustsql cluster join --genesis ${out} --chain-id ${hex(made.chainId)}\n`,
  );
}

export function runInvite({ data, out, json }: InviteFlags & { readonly data: string }): void {
  const block = inviteTo(data, out);
  if (json === true) {
    process.stdout.write(jsonText({ data, genesis: out, ...jsonOf(block) }));
    return;
  }
  const [first] = block.genesis.nodes;
  process.stdout.write(
    `Block 0 of ${data} is in ${out}.\n${clusterText(block)}` +
      'Give it to each node to come, and tell it the chain by another way than the file:\n' +
      `  trustsql cluster join --genesis ${out} --chain-id ${hex(block.chainId)} --newcomer\n` +
      'Until the ledger tells it where its members are, it is told so when it starts:\n' +
      `  trustsql start --peers ${hex(first!.publicKey)}@<host>:<port>\n`,
  );
}

export function runJoin(config: Config, flags: JoinFlags): void {
  const json = flags.json === true;
  const { chainId: given, newcomer = false, returning = false } = flags;
  if (newcomer && returning) {
    throw new CommandError(EXIT.usage, 'a node is a newcomer, or it returns');
  }
  const options = {
    file: flags.genesis,
    chainId: given === undefined ? null : hexOf('--chain-id', given, HASH_BYTES),
    show: (block: GenesisBlock) => {
      if (!json) process.stdout.write(`${flags.genesis} is sound:\n${clusterText(block)}`);
    },
  };
  const found = returning
    ? returnToCluster(config, nativeCrypto, options)
    : joinCluster(config, nativeCrypto, { ...options, newcomer });
  if (json) process.stdout.write(jsonText({ data: config.data, ...jsonOf(found) }));
  else process.stdout.write(`Its ledger is in ${config.data}.\n${nextStep(newcomer, returning)}`);
}

function nextStep(newcomer: boolean, returning: boolean): string {
  if (newcomer) {
    return 'Start it; an administrator adds it then: trustsql node add <node key>@<host>:<port>\n';
  }
  return returning
    ? 'Start it: it gets the blocks, and votes again when what it has forgotten is past.\n'
    : 'Start it: trustsql start, with the port at which the others reach it (--peer-host, --peer-port).\n';
}

export function runClusterInit(config: Config, flags: InitFlags): void {
  const { consensus, database } = flags;
  const options = { consensus, database, nodes: Number(flags.nodes) };
  const made = makeLocalCluster(config, nativeCrypto, systemClock, options);
  const { nodes, adminUrlFile } = made;
  if (flags.json === true) {
    process.stdout.write(jsonText({ ...jsonOf(made), local: nodes, adminUrl: adminUrlFile }));
    return;
  }
  const commands = nodes.map(({ configFile }) => `  trustsql start --config ${configFile}\n`);
  process.stdout.write(
    `A new cluster is in ${config.data}.\n${clusterText(made)}` +
      `Start its nodes, each with a command of its own:\n${commands.join('')}` +
      `To connect to any of them:\n  psql "$(cat ${adminUrlFile})"\n`,
  );
}

function jsonOf({ genesis, chainId }: GenesisBlock): object {
  const { quorums, ...description } = describeGenesis(genesis);
  const { f, report, fast, silent } = quorums;
  return { chainId, ...description, f, quorums: { report, fast }, silent };
}

/** What is public of a cluster, a line each. */
export function clusterText({ genesis, chainId }: GenesisBlock): string {
  const { database, consensus, nodes, administrators, quorums } = describeGenesis(genesis);
  const rows: string[][] = [
    ['chain', hex(chainId)],
    ['database', database],
    ['consensus', consensus],
    ...nodes.map(({ publicKey, address }, index) => [
      `node ${index + 1}`,
      `${hex(publicKey)} ${address}`.trimEnd(),
    ]),
    ...administrators.map(({ role, publicKey }) => ['admin', `${hex(publicKey)} ${role}`]),
  ];
  const sentences = toleranceOf(quorums, consensus).map((sentence) => `  ${sentence}\n`);
  const table = rows.map(([name, value]) => `  ${name!.padEnd(10)}  ${value}\n`);
  return [...table, ...sentences].join('');
}

/** What the members bear, plainly. */
function toleranceOf({ n, f, fast, report, silent }: Quorums, consensus: string): string[] {
  const raft = `In raft mode ${fast} of ${n} nodes confirm a block: it goes on with ${silent} silent.`;
  const bft = `In bft mode ${report} of ${n} nodes confirm a block: it goes on with ${n - report} silent.`;
  if (consensus === 'solo') {
    return ['At block 0 one node signs alone; ledger.config says by which rules it goes on.'];
  }
  return [
    ...(consensus === 'bft' ? [] : [raft]),
    ...(consensus === 'raft' ? [] : [bft]),
    f === 0
      ? 'With fewer than 4 nodes there is no Byzantine tolerance: a lying node is seen and proven, not prevented.'
      : `Up to ${f} lying ${f === 1 ? 'node' : 'nodes'} cannot change what is confirmed (f = ${f}).`,
  ];
}
