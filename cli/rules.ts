// `trustsql config`: the rules by which the nodes agree, as they are, and how they are changed. Shell.

import { readFileSync, writeFileSync } from 'node:fs';
import type { Rules } from '../ledger/epoch.ts';
import { parseChange } from '../server/governance/change.ts';
import { settingsOf, textOfSetting, withSetting } from '../server/governance/rule-settings.ts';
import { CommandError, EXIT } from './exit.ts';
import {
  approve,
  carryOut,
  checkAllowed,
  given,
  planned,
  planText,
  showPlans,
  showSteps,
  stateOf,
  submit,
  onNode,
} from './governance.ts';
import type { ChangeFlags, NodeFlags } from './governance.ts';
import { jsonText } from './json.ts';

/** Prints one setting, or all of them with the epoch. */
export function runConfigGet(name: string | undefined, flags: NodeFlags): Promise<void> {
  return onNode(flags, async (connection) => {
    const { epoch, rules } = await stateOf(connection);
    const settings = settingsOf(rules);
    if (name === undefined) {
      const lines = Object.entries({ epoch, ...settings }).map(
        ([each, value]) => `${each}=${textOfSetting(value)}\n`,
      );
      process.stdout.write(flags.json === true ? jsonText({ epoch, ...settings }) : lines.join(''));
      return;
    }
    if (!(name in settings)) {
      const names = Object.keys(settings).join(', ');
      throw new CommandError(EXIT.usage, `${name}: there is no such setting; there are ${names}`);
    }
    const value = settings[name];
    process.stdout.write(flags.json === true ? jsonText(value) : `${textOfSetting(value)}\n`);
  });
}

/** @param assignments  each NAME=VALUE */
export async function runConfigSet(
  assignments: readonly string[],
  flags: ChangeFlags,
): Promise<void> {
  const changed = (rules: Rules): Rules =>
    assignments.reduce((before, assignment) => {
      const [, name, value] = /^([a-z_]+)=(.*)$/s.exec(assignment) ?? [];
      if (name === undefined) {
        throw new CommandError(EXIT.usage, `${assignment}: <name>=<value> is expected`);
      }
      return given(() => withSetting(before, name, value!));
    }, rules);
  await onNode(flags, async (connection) => {
    const state = await stateOf(connection);
    const rules = changed(state.rules);
    if (flags.plan === true) return showPlans([planned(state, rules)], flags);
    showSteps([await carryOut(connection, state, rules, flags)], flags);
  });
}

/** The text of a file, and the rules in it. @throws CommandError 2, with its name */
function changeIn(file: string): { readonly change: string; readonly rules: Rules } {
  const change = readFileSync(file, 'utf8');
  return { change, rules: given(() => parseChange(change), file).rules };
}

/** Adds the approval of the role that is logged in to a file, after it was shown what for. */
export function runConfigApprove(file: string, flags: NodeFlags): Promise<void> {
  return onNode(flags, async (connection) => {
    const { change, rules } = changeIn(file);
    const state = await stateOf(connection);
    const plan = planned(state, rules);
    const approved = await approve(connection, change);
    writeFileSync(file, approved);
    const approvals = parseChange(approved).approvals.length;
    const { needed } = state.rules.governance;
    if (flags.json === true) {
      process.stdout.write(jsonText({ out: file, approvals, needed, plan }));
      return;
    }
    process.stdout.write(
      `${planText(plan)}Approved: ${file} has ${approvals} of ${needed} approvals` +
        `${approvals < needed ? '' : `; trustsql config submit ${file} puts it into force`}.\n`,
    );
  });
}

/** Puts a change that was approved into force. */
export function runConfigSubmit(file: string, flags: ChangeFlags): Promise<void> {
  return onNode(flags, async (connection) => {
    const { change, rules } = changeIn(file);
    const plan = planned(await stateOf(connection), rules);
    if (flags.plan === true) return showPlans([plan], flags);
    checkAllowed(plan, flags);
    const epoch = await submit(connection, change, flags.force === true);
    showSteps([{ epoch, out: null, plan }], flags);
  });
}
