// New rules on their way from the node they were given to into a block: their bytes, and who waits for them. Shell.
//
// They travel as the system record that a block will hold. Nobody takes them on trust: each node checks the
// approvals itself (consensus/core/system-check.ts).

import { equal } from '../ledger/bytes.ts';
import { decodeWith, encodeWith } from '../ledger/codec.ts';
import { encodeRules, systemCodec } from '../ledger/encoding-vote.ts';
import type { EpochConfig, Rules } from '../ledger/epoch.ts';
import { SqlError, tryDecode } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { SystemRecord } from '../ledger/system.ts';
import { CONSENSUS_LIMITS } from './limits.ts';

/** Rules, and who has signed them for the epoch in force. */
export type ApprovedRules = Omit<Extract<SystemRecord, { kind: 'rules' }>, 'kind'>;

export function encodeChange({ rules, approvals }: ApprovedRules): Uint8Array {
  return encodeWith(systemCodec, [{ kind: 'rules', rules, approvals }]);
}

/** Null for what a node should not have sent. */
export function decodeChange(encoded: Uint8Array): ApprovedRules | null {
  if (encoded.length > CONSENSUS_LIMITS.rulesBytesMax) return null;
  const [record, ...more] = tryDecode(() => decodeWith(systemCodec, encoded)) ?? [];
  return record?.kind === 'rules' && more.length === 0 ? record : null;
}

/** 42501: no rules of this epoch. */
export function unapprovedError({ epoch, governance }: EpochConfig): SqlError {
  return new SqlError(
    SQLSTATE.insufficientPrivilege,
    `these rules do not have the ${governance.needed} valid approvals that epoch ${epoch} asks for`,
  );
}

export class RulesChange {
  /** As it is sent to all. */
  readonly message: Uint8Array;
  /** The configuration that begins with the rules. */
  readonly outcome: Promise<EpochConfig>;
  readonly #rules: Uint8Array;
  readonly #endMs: number;
  readonly #begun = Promise.withResolvers<EpochConfig>();

  /** @param endMs  on the clock of `isOver` */
  constructor(rules: Rules, message: Uint8Array, endMs: number) {
    this.message = message;
    this.outcome = this.#begun.promise;
    this.#rules = encodeRules(rules);
    this.#endMs = endMs;
  }

  /** An epoch has begun, perhaps with other rules. */
  begun(config: EpochConfig): void {
    if (equal(encodeRules(config), this.#rules)) return this.#begun.resolve(config);
    this.#begun.reject(
      new SqlError(
        SQLSTATE.objectNotInPrerequisiteState,
        `epoch ${config.epoch} has begun meanwhile, and the approvals were for the one before it`,
        { hint: 'Look at the rules now in force, and do it again.' },
      ),
    );
  }

  /** Whether it was waited for long enough; whoever waits hears of it. */
  isOver(nowMs: number): boolean {
    if (nowMs < this.#endMs) return false;
    this.fail(
      new SqlError(
        SQLSTATE.statementCompletionUnknown,
        'the members have not confirmed the new rules in time',
        { hint: 'They may still come into force: ledger.rules() says which are.' },
      ),
    );
    return true;
  }

  fail(error: unknown): void {
    this.#begun.reject(error);
  }
}
