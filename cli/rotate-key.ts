// `trustsql node rotate-key`: the node of this data directory gets another signing key, in the same place. Shell.
//
// Given again after an interruption it goes on with the key that was made then.

import {
  markNextNodeKeyDue,
  newNodeKey,
  readNextNodeKey,
  readNodePublicKey,
} from '../identity/node-key.ts';
import { equal, hex } from '../ledger/bytes.ts';
import { isListed } from '../ledger/epoch.ts';
import type { Config } from '../server/config.ts';
import { withNode } from '../server/governance/plan.ts';
import { keepRotation } from '../server/key-rotation.ts';
import { readDataDirectory } from '../storage/data-directory.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { CommandError, EXIT } from './exit.ts';
import {
  carryOut,
  checkAllowed,
  onNode,
  planned,
  say,
  showPlans,
  showSteps,
  stateOf,
} from './governance.ts';
import type { ChangeFlags, State } from './governance.ts';

const START_AGAIN = 'Start the node again: from then on it has the new key.';

export function runRotateKey(config: Config, flags: ChangeFlags): Promise<void> {
  const { data } = config;
  const old = readNodePublicKey(data);
  return onNode(flags, async (connection) => {
    const state = await stateOf(connection);
    checkChain(data, state);
    const waiting = readNextNodeKey(data);
    if (waiting !== null && isListed(state.rules, waiting.publicKey)) {
      if (flags.plan !== true && !waiting.due) markNextNodeKeyDue(data);
      showSteps([], flags);
      say(`The new key ${hex(waiting.publicKey)} is in force already. ${START_AGAIN}`);
      return;
    }
    if (!isListed(state.rules, old)) {
      const what = `the key of ${data}, ${hex(old)}, is none of the ledger's nodes`;
      throw new CommandError(EXIT.usage, `${what}: trustsql node status lists them`);
    }
    const made = waiting === null ? newNodeKey(nativeCrypto) : null;
    const { publicKey } = made ?? waiting!;
    const standing: State = { ...state, renewed: hex(publicKey) };
    const rules = withNode(state.rules, old, { publicKey });
    const plan = planned(standing, rules);
    if (flags.plan === true) {
      showPlans([plan], flags);
      if (made !== null) say('The new key is an example: rotate-key makes another, and keeps it.');
      return;
    }
    checkAllowed(plan, flags);
    // On disk before anybody is told: a key that the chain lists and nobody has would be a member lost.
    if (made !== null) keepRotation(config, made);
    const step = await carryOut(connection, standing, rules, flags);
    if (step.epoch !== null && waiting?.due !== true) markNextNodeKeyDue(data);
    showSteps([step], flags);
    say(step.epoch === null ? `When the change is in force: ${START_AGAIN}` : START_AGAIN);
  });
}

function checkChain(data: string, { chainId }: State): void {
  if (equal(readDataDirectory(data).chainId, chainId)) return;
  throw new CommandError(EXIT.usage, `the node that was asked has another ledger than ${data}`);
}
