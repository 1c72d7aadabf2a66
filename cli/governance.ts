// How an operator changes the rules: ask a node where the cluster stands, plan, have the change approved, put it into
// force. What `trustsql config` and `trustsql node` have in common. Shell.
//
// Results go to standard output, what happens meanwhile to standard error.

import { writeFileSync } from 'node:fs';
import { fromHex } from '../ledger/bytes.ts';
import { soloFault } from '../ledger/epoch.ts';
import type { Rules } from '../ledger/epoch.ts';
import { formatChange } from '../server/governance/change.ts';
import type { Plan, Seen, Standing } from '../server/governance/plan.ts';
import { planOf } from '../server/governance/plan.ts';
import {
  faultOfRules,
  isSettingError,
  rulesOfSettings,
} from '../server/governance/rule-settings.ts';
import { connect } from './connect.ts';
import type { Connection } from './connect.ts';
import { CommandError, EXIT } from './exit.ts';
import { jsonText } from './json.ts';

export interface NodeFlags {
  readonly data: string;
  readonly url?: string;
  readonly json?: boolean;
}

export interface ChangeFlags extends NodeFlags {
  /** Say what would be, and do nothing. */
  readonly plan?: boolean;
  /** Do it although it is refused. */
  readonly force?: boolean;
  /** Where the change goes for others to approve. */
  readonly out?: string;
}

/** What `ledger.rules()` says. */
export interface State extends Standing {
  readonly chainId: Uint8Array;
  readonly epoch: number;
  readonly mode: 'raft' | 'bft';
  readonly term: number;
  /** Keys of members that were proven to lie. */
  readonly suspended: readonly string[];
}

/** What was done, or would be. */
export interface Step {
  /** The epoch that began with it; null when it was not put into force. */
  readonly epoch: number | null;
  /** The file that the change was written to. */
  readonly out: string | null;
  readonly plan: Plan;
}

const LISTS: ReadonlySet<string> = new Set(['members', 'observers', 'governance_keys']);

/** How often a change is approved anew because the members have changed their mode meanwhile. */
const TRIES_MAX = 3;

/** Runs a command on a connection of its own. */
export async function onNode(
  flags: NodeFlags,
  work: (connection: Connection) => Promise<void>,
): Promise<void> {
  const connection = await connect({ ...flags, url: flags.url, onNotice: say });
  try {
    await work(connection);
  } finally {
    await connection.close();
  }
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

export async function stateOf(connection: Connection): Promise<State> {
  const found = JSON.parse(await valueOf(connection, 'SELECT ledger.rules()', [])) as Omit<
    State,
    'chainId' | 'rules' | 'nodes'
  > & {
    readonly chainId: string;
    readonly rules: unknown;
    readonly nodes: readonly Seen[];
  };
  return { ...found, chainId: fromHex(found.chainId), rules: rulesOfSettings(found.rules) };
}

export async function valueOf(
  connection: Connection,
  text: string,
  parameters: readonly string[],
): Promise<string> {
  const [answer] = await connection.query(text, parameters);
  return answer!.rows[0]![0]!;
}

/** What a person gave, maybe in a file, or the end of the command with what is wrong about it. */
export function given<T>(read: () => T, file?: string): T {
  try {
    return read();
  } catch (error) {
    if (isSettingError(error)) {
      throw new CommandError(
        EXIT.usage,
        `${file === undefined ? '' : `${file}: `}${error.message}`,
      );
    }
    throw error;
  }
}

/** The plan of rules that can be. @throws CommandError 2 for others, or when nothing changes */
export function planned(standing: Standing, rules: Rules): Plan {
  const fault = faultOfRules(rules) ?? soloFault(standing.rules, rules);
  if (fault !== null) throw new CommandError(EXIT.usage, fault);
  const plan = planOf(standing, rules);
  if (plan.changes.length > 0) return plan;
  throw new CommandError(EXIT.usage, 'these rules are in force already');
}

/**
 * Approves rules as the role that is logged in, and puts them into force or into a file.
 *
 * @throws CommandError 1 when it is refused, 2 when others must approve and there is no file to go to
 */
export async function carryOut(
  connection: Connection,
  state: State,
  rules: Rules,
  flags: ChangeFlags,
  tries = 1,
): Promise<Step> {
  const plan = planned(state, rules);
  checkAllowed(plan, flags);
  const { needed } = state.rules.governance;
  const { out } = flags;
  if (needed > 1 && out === undefined) {
    throw new CommandError(
      EXIT.usage,
      `${needed} administrators must approve: write the change to a file with --out, ` +
        'have others run trustsql config approve, then one of them trustsql config submit',
    );
  }
  const { chainId, epoch } = state;
  const change = formatChange({ chainId, epoch, rules, approvals: [] });
  try {
    const approved = await approve(connection, change);
    if (out === undefined) {
      // A node asked does not know that the new key is that of a node with all blocks.
      const force = flags.force === true || state.renewed !== undefined;
      return { epoch: await submit(connection, approved, force), out: null, plan };
    }
    writeFileSync(out, approved);
    return { epoch: null, out, plan };
  } catch (error) {
    // Another epoch with the same rules: the members have changed their mode, and nobody has decided otherwise.
    const now = await stateOf(connection);
    const same = planOf(now, state.rules).changes.length === 0;
    if (now.epoch === epoch || !same || tries >= TRIES_MAX) throw error;
    return carryOut(connection, { ...now, renewed: state.renewed }, rules, flags, tries + 1);
  }
}

/** Ends the command when a plan must not be carried out. */
export function checkAllowed({ refusals }: Plan, flags: ChangeFlags): void {
  if (refusals.length === 0 || flags.force === true) return;
  throw new CommandError(
    EXIT.negative,
    `refused: ${refusals.join('; ')}.\nNothing was changed; --force does it all the same.`,
  );
}

/** The change with one more approval. */
export async function approve(connection: Connection, change: string): Promise<string> {
  return valueOf(connection, 'SELECT ledger.approve_rules($1)', [change]);
}

/** @returns the epoch that has begun */
export async function submit(
  connection: Connection,
  change: string,
  force: boolean,
): Promise<number> {
  const parameters = [change, String(force)];
  return Number(await valueOf(connection, 'SELECT ledger.submit_rules($1, $2)', parameters));
}

/** Prints what was planned; the command ends with 1 when it would be refused. */
export function showPlans(plans: readonly Plan[], flags: ChangeFlags): void {
  if (flags.json === true) process.stdout.write(jsonText({ plans }));
  else process.stdout.write(plans.map(planText).join('\n'));
  for (const plan of plans) checkAllowed(plan, flags);
}

/** Prints what was done. */
export function showSteps(steps: readonly Step[], flags: ChangeFlags): void {
  if (flags.json === true) {
    process.stdout.write(jsonText({ steps }));
    return;
  }
  for (const { epoch, out, plan } of steps) {
    const end =
      out === null
        ? `In force since epoch ${epoch}.`
        : `Nothing is changed yet: the change is in ${out}, with your approval.`;
    process.stdout.write(`${planText(plan)}${end}\n`);
  }
}

/** A list by what comes and goes. */
function changeLines({ setting, from, to }: Plan['changes'][number]): string[] {
  if (!LISTS.has(setting)) return [`${setting}: ${from} → ${to}`];
  const [before, after] = [from, to].map((text) => text.split(',').filter((each) => each !== ''));
  return [
    ...before!.filter((each) => !after!.includes(each)).map((each) => `${setting}: − ${each}`),
    ...after!.filter((each) => !before!.includes(each)).map((each) => `${setting}: + ${each}`),
  ];
}

export function planText(plan: Plan): string {
  const { before, after, changes, unreachable, risks, refusals } = plan;
  const rows: readonly (readonly [string, string | number, string | number])[] = [
    ['policy', before.policy, after.policy],
    ['members', before.members, after.members],
    ['of them reachable', before.reachable, after.reachable],
    ['may lie (f)', before.f, after.f],
    ['confirm in raft mode', before.fast, after.fast],
    ['confirm in bft mode', before.report, after.report],
    ['may be silent', before.members - before.needed, after.members - after.needed],
  ];
  const table = rows.map(
    ([name, from, to]) =>
      `  ${name.padEnd(22)}${String(from).padStart(9)}${String(to).padStart(9)}`,
  );
  const list = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)];
  return [
    `  ${''.padEnd(22)}${'before'.padStart(9)}${'after'.padStart(9)}`,
    ...table,
    ...list('Changes', changes.flatMap(changeLines)),
    ...list('Not reachable', unreachable),
    ...list('What could break', risks),
    ...list('Refused', refusals),
    '',
  ].join('\n');
}
