// What a node does for those who govern: says which rules are in force and who is there, signs for roles that it
// hosts, and puts approved rules before the members. Shell.

import { signStatement } from '../../consensus/core/context.ts';
import { isApproved, rulesStatement } from '../../consensus/core/system-check.ts';
import type { Consensus } from '../../consensus/consensus.ts';
import { equal, hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { encodeRules } from '../../ledger/encoding-vote.ts';
import { memberOf, quorumsOf, soloFault } from '../../ledger/epoch.ts';
import type { EpochConfig, Rules } from '../../ledger/epoch.ts';
import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { OrderingState } from '../cluster-status.ts';
import type { RoleSigner } from '../gateway.ts';
import { RULES_CHANGE_MS_MAX } from '../limits.ts';
import { formatChange, parseChange } from './change.ts';
import type { Approval, Change } from './change.ts';
import { newcomerRefusals } from './plan.ts';
import type { Seen } from './plan.ts';
import { faultOfRules, isSettingError, settingsOf } from './rule-settings.ts';

export interface GovernorOptions {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  /** Of this node. */
  readonly publicKey: Uint8Array;
  readonly consensus: Pick<Consensus, 'changeRules'>;
  readonly state: () => OrderingState;
}

export class Governor {
  readonly #options: GovernorOptions;

  constructor(options: GovernorOptions) {
    this.#options = options;
  }

  get #config(): EpochConfig {
    return this.#options.state().config;
  }

  /** The rules in force, and which of the nodes this one sees; as JSON. */
  describe(): string {
    const { chainId, state } = this.#options;
    const { config, replica: status } = state();
    const { epoch, mode, suspended } = config;
    return JSON.stringify({
      chainId: hex(chainId),
      epoch,
      mode: status.open ? status.mode : mode,
      term: status.term,
      leader: status.open ? hex(config.members[status.leader]!.publicKey) : null,
      height: status.height,
      suspended: suspended.map((member) => hex(config.members[member]!.publicKey)),
      nodes: this.#seen(),
      rules: settingsOf(config),
    });
  }

  /**
   * The change with an approval by a role.
   *
   * @throws SqlError 22023 for rules that cannot be, or of another chain, 55000 of another epoch, 42501 when the key
   *   is not one that governs
   */
  approve(text: string, signer: RoleSigner): string {
    const { crypto, chainId } = this.#options;
    const change = this.#checked(text);
    const { governance } = this.#config;
    if (!governance.keys.some((key) => equal(key, signer.publicKey))) {
      throw new SqlError(
        SQLSTATE.insufficientPrivilege,
        `the key of this role, ${hex(signer.publicKey)}, is none of those that govern this ledger`,
      );
    }
    const statement = rulesStatement(change.epoch, encodeRules(change.rules));
    const signature = signStatement({ crypto, chainId, seed: signer.seed }, 'rules', statement);
    const others = change.approvals.filter(({ key }) => !equal(key, signer.publicKey));
    const approvals = [...others, { key: signer.publicKey, signature }];
    return formatChange({ ...change, approvals });
  }

  /**
   * Puts approved rules before the members and waits for the epoch that begins with them.
   *
   * @param force  also when this node does not see that those who become members have caught up
   * @returns its number
   * @throws SqlError as `approve` and Consensus.changeRules, 55000 for newcomers that are not ready
   */
  async submit(text: string, force: boolean): Promise<number> {
    const { consensus } = this.#options;
    const change = this.#checked(text);
    this.#checkApprovals(change);
    if (!force) this.#checkNewcomers(change.rules);
    const { rules, approvals } = change;
    try {
      return (await consensus.changeRules({ rules, approvals }, RULES_CHANGE_MS_MAX)).epoch;
    } catch (error) {
      const late = isSqlError(error) && error.sqlstate === SQLSTATE.statementCompletionUnknown;
      if (!late) throw error;
      const fields = { ...error.fields, detail: this.#reached() };
      throw new SqlError(error.sqlstate, error.message, fields);
    }
  }

  #checked(text: string): Change {
    const { chainId } = this.#options;
    const change = parsed(text);
    const refuse = (message: string): SqlError =>
      new SqlError(SQLSTATE.invalidParameterValue, message);
    if (!equal(change.chainId, chainId)) throw refuse('chainId: these are rules of another ledger');
    const fault = faultOfRules(change.rules) ?? soloFault(this.#config, change.rules);
    if (fault !== null) throw refuse(fault);
    const { epoch } = this.#config;
    if (change.epoch === epoch) return change;
    throw new SqlError(
      SQLSTATE.objectNotInPrerequisiteState,
      `the change is for epoch ${change.epoch}, but epoch ${epoch} is in force`,
      { hint: 'Look at the rules now in force, and do it again.' },
    );
  }

  /** Says which approval is wrong, where the consensus would only say that they are too few. */
  #checkApprovals({ rules, approvals }: Change): void {
    const { governance } = this.#config;
    const config = { ...this.#config, governance: { ...governance, needed: 1 } };
    const wrong = approvals.find(
      (approval: Approval) => !isApproved(this.#options, config, { rules, approvals: [approval] }),
    );
    const refuse = (message: string): SqlError =>
      new SqlError(SQLSTATE.insufficientPrivilege, message);
    if (wrong !== undefined) {
      throw refuse(
        `the approval of key ${hex(wrong.key)} does not count: it governs nothing here, or signed something else`,
      );
    }
    const keys = new Set(approvals.map(({ key }) => hex(key)));
    if (keys.size >= governance.needed) return;
    throw refuse(`${keys.size} of the ${governance.needed} approvals needed are there`);
  }

  /** A vote given to a node without the blocks is one that is silent for long: the ledger may stop until it has them. */
  #checkNewcomers(rules: Rules): void {
    const { config, replica } = this.#options.state();
    const standing = { rules: config, height: replica.height, nodes: this.#seen() };
    const [refusal] = newcomerRefusals(standing, rules);
    if (refusal === undefined) return;
    throw new SqlError(SQLSTATE.objectNotInPrerequisiteState, refusal, {
      hint: 'Let it observe until it has the blocks: trustsql node add does. ledger.submit_rules(change, true) does not look.',
    });
  }

  /** This node, and the others as it sees them. */
  #seen(): Seen[] {
    const { publicKey, state } = this.#options;
    const { replica, heights, peers } = state();
    const others = peers.map(({ key, connectedSinceMs }) => ({
      key,
      up: connectedSinceMs !== null,
      height: heights.get(key) ?? null,
    }));
    return [{ key: hex(publicKey), up: true, height: replica.height }, ...others];
  }

  /** What may have been missing. */
  #reached(): string {
    const { publicKey, state } = this.#options;
    const { config, peers } = state();
    const up = peers.filter(({ connectedSinceMs }) => connectedSinceMs !== null);
    const keys = new Set([hex(publicKey), ...up.map(({ key }) => key)]);
    const members = config.members.filter((member) => keys.has(hex(member.publicKey)));
    const others = members.length - (memberOf(config, publicKey) >= 0 ? 1 : 0);
    return (
      `This node is connected with ${others} other members; ` +
      `${quorumsOf(config).report} of ${config.members.length} must confirm new rules.`
    );
  }
}

function parsed(text: string): Change {
  try {
    return parseChange(text);
  } catch (error) {
    if (!isSettingError(error)) throw error;
    throw new SqlError(SQLSTATE.invalidParameterValue, error.message);
  }
}
