// The command `trustsql`: builds the commands, runs one, maps what it throws to a sentence and an exit code. Shell.
//
// Each command's own file is loaded when it runs, so that --help and small commands are quick. Exit codes are
// in cli/exit.ts and at the end of --help. This is the door of `commander`.

import { Command, CommanderError, Option } from 'commander';
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { flagOf, loadConfig, OPTIONS, variableOf } from '../server/config.ts';
import type { Config } from '../server/config.ts';
import { CLUSTER_CONSENSUS, DATABASE } from '../server/founding/genesis.ts';
import type { BackupFlags, CheckFlags, RestoreFlags } from './backup.ts';
import type { GenesisFlags, InitFlags, InviteFlags, JoinFlags, KeyFlags } from './cluster.ts';
import { explain, EXIT } from './exit.ts';
import type { ChangeFlags, NodeFlags } from './governance.ts';
import type { JoiningFlags } from './node.ts';
import type { CheckOptions } from './proof.ts';
import type { FileFlags, PlaceFlags } from './shard-files.ts';
import type { ListFlags, MoveFlags } from './shard.ts';
import type { VerifyOptions } from './verify.ts';

/**
 * V8 frees WebAssembly code that it has compiled anew, and sometimes loses count of it: then it ends the process, in its
 * first seconds (nodejs/node#64500; one first start of a node in 150, measured with 24.21). Some megabytes are kept instead.
 */
setFlagsFromString('--no-wasm-code-gc');

type Flags = Record<string, unknown>;
type DemoFlags = InitFlags & Partial<Pick<Config, 'data' | 'port' | 'peerPort' | 'keyFile'>>;

const EXIT_CODES = `
Exit codes: 0 done; 1 the answer is no (verification failed, statement refused);
  2 wrong usage or setting; 3 cannot start or reach what is needed; 70 a fault of the program.`;

const ORDER = `
Every option can also be given in the environment, as ${variableOf('port')}, or in a JSON file, as
  {"port": 5434}; a flag counts before the environment, that before the file.`;

/** All options of the configuration, from its own table. */
function withConfig(command: Command): Command {
  command.option('--config <file>', 'configuration file (default: trustsql.config.json, if there)');
  for (const [name, option] of Object.entries(OPTIONS)) {
    const initial = option.initial === '' ? '' : ` (default: ${String(option.initial)})`;
    if (option.kind === 'boolean') {
      command.option(
        option.initial === true ? `--no-${flagOf(name).slice(2)}` : flagOf(name),
        `${option.initial === true ? 'do not ' : ''}${option.help}`,
      );
      continue;
    }
    const value = option.kind === 'integer' ? option.kind : option.of;
    const flag = new Option(`${flagOf(name)} <${value}>`, `${option.help}${initial}`);
    command.addOption(option.kind === 'choice' ? flag.choices(option.choices) : flag);
  }
  return command.addHelpText('after', ORDER);
}

/** Commander fills a negatable flag with true when it was not given: that is no flag of the user's. */
function configOf(command: Command): Config {
  const given = Object.entries(command.opts()).filter(
    ([name]) =>
      command.getOptionValueSource(name) === 'cli' && (name in OPTIONS || name === 'config'),
  );
  return loadConfig(Object.fromEntries(given));
}

/** The data directory alone, for commands that need nothing else. */
function withData(command: Command): Command {
  return command.option('--data <directory>', `data directory (default: ${OPTIONS.data.initial})`);
}

function withNode(command: Command): Command {
  return withData(command).option('--url <url>', 'the node (default: <data>/admin.url)');
}

function withPins(command: Command): Command {
  return command
    .option(
      '--digest <file>',
      'a digest kept elsewhere: proves that nothing was cut off or rewritten',
    )
    .option('--chain-id <hex>', 'the chain that it must be, as known from elsewhere')
    .option('--node-key <hex...>', 'a node that may sign, as known from elsewhere; no other may');
}

function dataOf(flags: Flags): string {
  return loadConfig(flags['data'] === undefined ? {} : { data: flags['data'] }).data;
}

/** Options without `data` and what was not given. */
function rest<T extends object>(flags: T): T & { data: string } {
  return { ...flags, data: dataOf(flags as Flags) };
}

function program(): Command {
  const version = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const main = new Command('trustsql')
    .description('A ledger database that people use as if it were Postgres.')
    .version(version.version)
    .addHelpText('after', EXIT_CODES)
    .showHelpAfterError('(trustsql --help lists what there is)');
  nodeCommands(main);
  clientCommands(main);
  rulesCommands(main.command('config').description('the rules by which the nodes agree'));
  memberCommands(main.command('node').description('the nodes of a cluster'));
  backupCommands(main);
  checkCommands(main);
  for (const command of everyCommand(main)) command.exitOverride();
  return main;
}

function nodeCommands(main: Command): void {
  withConfig(
    main.command('start').description('run a node; makes the data directory if needed'),
  ).action(async (_flags: Flags, command: Command) => {
    const { runStart } = await import('./start.ts');
    await runStart(configOf(command));
  });
  withConfig(main.command('init').description('make a data directory: keys, genesis, admin role'))
    .option('--json', 'print JSON')
    .action(async (flags: { json?: boolean }, command: Command) => {
      const { runInit } = await import('./init.ts');
      runInit(configOf(command), flags.json === true);
    });
  clusterCommands(main.command('cluster').description('several nodes, one ledger'));
  const role = main.command('role').description('roles that commands of their own are for');
  admitCommand(role);
  withConfig(
    role.command('reset-password <role>').description('a new password; the node must be stopped'),
  )
    .option('--password <text>', 'the new password (default: a generated one)')
    .option('--json', 'print JSON')
    .action(
      async (name: string, flags: { password?: string; json?: boolean }, command: Command) => {
        const { runResetPassword } = await import('./role.ts');
        await runResetPassword(name, configOf(command), flags);
      },
    );
}

function admitCommand(role: Command): void {
  withNode(
    role.command('admit <part>').description('create the administrator of a node that comes later'),
  )
    .option('--superuser', 'with all rights (default: it can log in)')
    .option('--json', 'print JSON')
    .action(async (file: string, flags: { superuser?: boolean; json?: boolean; url?: string }) => {
      const { runAdmit } = await import('./role.ts');
      await runAdmit(file, rest(flags));
    });
}

function consensusOption(): Option {
  return new Option('--consensus <mode>', 'how the nodes agree')
    .choices(CLUSTER_CONSENSUS)
    .default('adaptive');
}

function databaseOption(): Option {
  return new Option('--database <name>', 'that clients connect to').default(DATABASE);
}

function clusterCommands(cluster: Command): void {
  withConfig(cluster.command('key').description('keys of an organisation, and its public part'))
    .requiredOption('--name <name>', 'name of the organisation')
    .option('--address <host:port>', 'where the others reach this node', '')
    .option('--json', 'print JSON')
    .action(async (flags: KeyFlags, command: Command) => {
      const { runKey } = await import('./cluster.ts');
      runKey(configOf(command), flags);
    });
  withConfig(
    cluster.command('genesis <part...>').description('make the ledger of all parts, own one first'),
  )
    .addOption(consensusOption())
    .addOption(databaseOption())
    .option('--out <file>', 'block 0, for the others', 'genesis.json')
    .option('--json', 'print JSON')
    .action(async (parts: string[], flags: GenesisFlags, command: Command) => {
      const { runGenesis } = await import('./cluster.ts');
      runGenesis(configOf(command), parts, flags);
    });
  withData(cluster.command('invite').description('block 0 of the ledger here, for nodes to come'))
    .option('--out <file>', 'block 0, for the others', 'genesis.json')
    .option('--json', 'print JSON')
    .action(async (flags: InviteFlags) => {
      const { runInvite } = await import('./cluster.ts');
      runInvite(rest(flags));
    });
  withConfig(cluster.command('join').description('make the ledger that another has founded'))
    .requiredOption('--genesis <file>', 'block 0, from whoever founded the cluster')
    .option('--chain-id <hex>', 'the chain that it must be, as known from elsewhere')
    .option('--newcomer', 'the ledger runs already: trustsql node add will add this node')
    .option('--returning', 'a member comes back with its keys alone: all else was lost')
    .option('--json', 'print JSON')
    .action(async (flags: JoinFlags, command: Command) => {
      const { runJoin } = await import('./cluster.ts');
      runJoin(configOf(command), flags);
    });
  withConfig(cluster.command('init').description('a whole cluster on this machine, below --data'))
    .requiredOption('--nodes <number>', 'how many; --port and --peer-port are those of the first')
    .addOption(consensusOption())
    .addOption(databaseOption())
    .option('--json', 'print JSON')
    .action(async (flags: InitFlags, command: Command) => {
      const { runClusterInit } = await import('./cluster.ts');
      runClusterInit(configOf(command), flags);
    });
  demoCommand(cluster);
}

function demoCommand(cluster: Command): void {
  cluster
    .command('demo')
    .description('run a whole cluster on this machine, made if it is not there; Ctrl-C stops it')
    .option('--data <directory>', 'directory of the cluster', './cluster')
    .option('--nodes <number>', 'how many, of a new cluster', '4')
    .option('--port <integer>', `client port of the first node (default: ${OPTIONS.port.initial})`)
    .option(
      '--peer-port <integer>',
      `peer port of the first node (default: ${OPTIONS.peerPort.initial})`,
    )
    .option('--key-file <file>', OPTIONS.keyFile.help)
    .addOption(consensusOption())
    .addOption(databaseOption())
    .action(async ({ data, port, peerPort, keyFile, ...flags }: DemoFlags) => {
      const { runClusterDemo } = await import('./cluster-demo.ts');
      const given = Object.entries({ data, port, peerPort, keyFile });
      const options = given.filter(([, value]) => value !== undefined);
      await runClusterDemo(loadConfig(Object.fromEntries(options)), flags);
    });
}

function clientCommands(main: Command): void {
  withNode(main.command('sql [statement]').description('run statements against a node'))
    .option('-f, --file <file>', 'read the statements from a file, - for standard input')
    .option('--json', 'print JSON')
    .action(
      async (
        statement: string | undefined,
        flags: { file?: string; json?: boolean; url?: string },
      ) => {
        const { runSql } = await import('./sql.ts');
        await runSql(statement, rest(flags));
      },
    );
  withNode(
    main.command('digest').description('the signed digest of the ledger, to be kept elsewhere'),
  )
    .option('-o, --out <file>', 'write it to a file')
    .option('--json', 'print JSON: the note, and what it says')
    .action(async (flags: { out?: string; json?: boolean; url?: string }) => {
      const { runDigest } = await import('./digest.ts');
      await runDigest(rest(flags));
    });
  const shard = main.command('shard').description('the files of the state');
  shardCommands(shard);
  shardFileCommands(shard);
}

function shardCommands(shard: Command): void {
  withNode(shard.command('list').description('files, sizes, heights and tables'))
    .option('--tables', 'tables, with the shard, rows and bytes of each')
    .option('--json', 'print JSON')
    .action(async (flags: ListFlags) => {
      const { listShards } = await import('./shard.ts');
      await listShards(rest(flags));
    });
  const moves = (command: Command): Command =>
    withNode(command)
      .option('--plan', 'say what would be moved and how long writes would wait, and do nothing')
      .option('--json', 'print JSON');
  for (const [how, what] of [
    ['split', 'move whole tables, about half of the bytes, to another shard'],
    ['merge', 'move all tables to another shard'],
  ] as const) {
    moves(shard.command(`${how} <shard>`).description(what))
      .requiredOption('--into <shard>', 'the other shard')
      .action(async (number: string, flags: MoveFlags) => {
        const { rearrangeShards } = await import('./shard.ts');
        await rearrangeShards(how, number, rest(flags));
      });
  }
  moves(
    shard.command('rebalance').description('move whole tables until the shards are even'),
  ).action(async (flags: MoveFlags) => {
    const { rearrangeShards } = await import('./shard.ts');
    await rearrangeShards('rebalance', null, rest(flags));
  });
}

function shardFileCommands(shard: Command): void {
  const offline = (command: Command): Command =>
    withData(command)
      .option(
        '--plan',
        'say what would be done, how much it is and how long it takes, and do nothing',
      )
      .option('--json', 'print JSON');
  offline(
    shard
      .command('move <shard>')
      .description('put the file on another disk; the node must be stopped'),
  )
    .requiredOption('--to <directory>', 'where the file goes; a link in state/ names it')
    .action(async (number: string, flags: PlaceFlags) => {
      const { runShardMove } = await import('./shard-files.ts');
      runShardMove(number, rest(flags));
    });
  offline(
    shard
      .command('vacuum [shard]')
      .description('give free pages back to the file system; the node must be stopped'),
  ).action(async (number: string | undefined, flags: FileFlags) => {
    const { runShardVacuum } = await import('./shard-files.ts');
    runShardVacuum(number, rest(flags));
  });
  withData(
    shard.command('verify [shard]').description('check the values of the state against the chain'),
  )
    .option('--json', 'print JSON')
    .action(async (number: string | undefined, flags: { json?: boolean }) => {
      const { runVerifyShards } = await import('./verify.ts');
      await runVerifyShards(number, rest(flags));
    });
  withData(shard.command('repair').description('repair a node without peers; it must be stopped'))
    .option('--from <directory>', 'a backup of this ledger, for damaged blocks')
    .option('--json', 'print JSON')
    .action(async (flags: { from?: string; json?: boolean }) => {
      const { runShardRepair } = await import('./shard-repair.ts');
      await runShardRepair(rest(flags));
    });
}

/** A command that changes the rules. */
function withChange(command: Command): Command {
  return withNode(command)
    .option('--plan', 'say what it would do to quorums and faults borne, and do nothing')
    .option('--force', 'do it also when it is refused')
    .option('--json', 'print JSON');
}

const OUT = ['--out <file>', 'write the change to a file, for others to approve'] as const;

function rulesCommands(config: Command): void {
  withNode(config.command('get [name]').description('a setting, or all'))
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, flags: NodeFlags) => {
      const { runConfigGet } = await import('./rules.ts');
      await runConfigGet(name, rest(flags));
    });
  withChange(config.command('set <name=value...>').description('change settings, on all nodes'))
    .option(...OUT)
    .action(async (assignments: string[], flags: ChangeFlags) => {
      const { runConfigSet } = await import('./rules.ts');
      await runConfigSet(assignments, rest(flags));
    });
  withNode(config.command('approve <file>').description('sign the change in a file'))
    .option('--json', 'print JSON')
    .action(async (file: string, flags: NodeFlags) => {
      const { runConfigApprove } = await import('./rules.ts');
      await runConfigApprove(file, rest(flags));
    });
  withChange(
    config.command('submit <file>').description('put an approved change into force'),
  ).action(async (file: string, flags: ChangeFlags) => {
    const { runConfigSubmit } = await import('./rules.ts');
    await runConfigSubmit(file, rest(flags));
  });
}

function memberCommands(node: Command): void {
  const timeout = ['--timeout <seconds>', 'for the new node to catch up', '600'] as const;
  withNode(node.command('status').description('members and observers, as a node sees them'))
    .option('--json', 'print JSON')
    .action(async (flags: NodeFlags) => {
      const { runNodeStatus } = await import('./node.ts');
      await runNodeStatus(rest(flags));
    });
  withChange(node.command('add <key@host:port>').description('let a node observe, then vote'))
    .option('--observer', 'let it only observe')
    .option(...timeout)
    .option(...OUT)
    .action(async (text: string, flags: JoiningFlags & { observer?: boolean }) => {
      const { runNodeAdd } = await import('./node.ts');
      await runNodeAdd(text, rest(flags));
    });
  withChange(node.command('remove <node>').description('take a node out, by its number or key'))
    .option('--observer', 'let it observe from now on')
    .option(...OUT)
    .action(async (text: string, flags: ChangeFlags & { observer?: boolean }) => {
      const { runNodeRemove } = await import('./node.ts');
      await runNodeRemove(text, rest(flags));
    });
  withChange(
    node.command('move <node> <host:port>').description('say where the others reach a node'),
  )
    .option(...OUT)
    .action(async (text: string, address: string, flags: ChangeFlags) => {
      const { runNodeMove } = await import('./node.ts');
      await runNodeMove(text, address, rest(flags));
    });
  withChange(
    node
      .command('replace <node> <key@host:port>')
      .description('give the place of a member to another node, or to another key of it'),
  )
    .option(...timeout)
    .option(...OUT)
    .action(async (old: string, text: string, flags: JoiningFlags) => {
      const { runNodeReplace } = await import('./node.ts');
      await runNodeReplace(old, text, rest(flags));
    });
  withChange(
    node
      .command('rotate-key')
      .description('a new signing key for the node of --data, which is started again then'),
  )
    .option('--config <file>', 'configuration file (default: trustsql.config.json, if there)')
    .option('--key-file <file>', OPTIONS.keyFile.help)
    .option(...OUT)
    .action(async (flags: ChangeFlags, command: Command) => {
      const { runRotateKey } = await import('./rotate-key.ts');
      const config = configOf(command);
      await runRotateKey(config, { ...flags, data: config.data });
    });
}

function backupCommands(main: Command): void {
  const backup = withData(
    main.command('backup').description('copy a ledger, beside its node, into a backup directory'),
  )
    .option('--to <directory>', 'the backup; one that is there is brought up to date')
    .option('--json', 'print JSON')
    .action(async ({ to, ...flags }: Partial<BackupFlags> & Flags) => {
      if (to === undefined) {
        return backup.error("error: required option '--to <directory>' not specified");
      }
      const { runBackup } = await import('./backup.ts');
      runBackup(dataOf(flags), { ...flags, to });
    });
  withPins(
    backup.command('check').description('check every file and every block of a backup, offline'),
  )
    .requiredOption('--from <directory>', 'the backup')
    .option('--json', 'print JSON')
    .action(async (_flags: CheckFlags, command: Command) => {
      const { runBackupCheck } = await import('./backup.ts');
      // --json may have been taken for one of `backup`.
      runBackupCheck(command.optsWithGlobals<CheckFlags>());
    });
  withData(main.command('restore').description('make a new data directory of a backup'))
    .requiredOption('--from <directory>', 'the backup')
    .option('--key-file <file>', OPTIONS.keyFile.help)
    .option('--height <number>', 'restore up to this block, not to the newest; one node only')
    .option('--json', 'print JSON')
    .action(async (flags: RestoreFlags, command: Command) => {
      const { runRestore } = await import('./backup.ts');
      runRestore(configOf(command), flags);
    });
}

function checkCommands(main: Command): void {
  withPins(
    withData(main.command('verify').description('check every block and every value, offline')),
  )
    .option('--key-file <file>', OPTIONS.keyFile.help)
    .option('--json', 'print JSON')
    .action(async (flags: VerifyOptions, command: Command) => {
      const { runVerify } = await import('./verify.ts');
      await runVerify(configOf(command), flags);
    });
  inspectCommands(main.command('inspect').description('print what the ledger holds'));
  const proof = main.command('proof').description('proofs of rows');
  withNode(proof.command('export <table> <key...>').description('the proof of a row, from a node'))
    .option('-o, --out <file>', 'write it to a file')
    .action(async (table: string, key: string[], flags: { out?: string; url?: string }) => {
      const { exportProof } = await import('./proof.ts');
      await exportProof(table, key, rest(flags));
    });
  proof
    .command('check <bundle>')
    .description('check a proof with nothing but the chain id, or the node keys you trust')
    .option('--chain-id <hex>', 'the chain that it must be, as known from elsewhere')
    .option('--node-key <hex...>', 'Ed25519 public key of a node you trust, or a file with it')
    .option('--digest <file>', 'a digest kept elsewhere, to tie the proof to')
    .option('--json', 'print JSON')
    .action(async (file: string, flags: CheckOptions) => {
      const { runCheckProof } = await import('./proof.ts');
      runCheckProof(file, flags);
    });
}

function inspectCommands(inspect: Command): void {
  withData(
    inspect.command('block <height>').description('a block, from the files; tip for the newest'),
  )
    .option('--json', 'print JSON (it always is)')
    .action(async (height: string, flags: Flags) => {
      const { inspectBlock } = await import('./inspect.ts');
      inspectBlock(height, dataOf(flags));
    });
  withData(inspect.command('tx <id>').description('a transaction, from the files'))
    .option('--json', 'print JSON (it always is)')
    .action(async (id: string, flags: Flags) => {
      const { inspectTransaction } = await import('./inspect.ts');
      inspectTransaction(id, dataOf(flags));
    });
  withNode(
    inspect.command('row <table> <key...>').description('every version of a row, from a node'),
  )
    .option('--json', 'print JSON')
    .action(async (table: string, key: string[], flags: { json?: boolean; url?: string }) => {
      const { inspectRow } = await import('./inspect.ts');
      await inspectRow(table, key, rest(flags));
    });
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** Commander has printed its own message already; asking for help is no mistake. */
function exitCodeOf(error: unknown): number {
  if (Error.isError(error) && error.name === CommanderError.name) {
    return (error as CommanderError).exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  const { exitCode, text } = explain(error);
  process.stderr.write(`trustsql: ${text}\n`);
  return exitCode;
}

// A reader that closes its end, as `head` does, ends the command quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.internal);
});

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
