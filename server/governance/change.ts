// A change of the rules as those who govern pass it on: complete new rules, bound to a chain and an epoch, with the
// approvals so far. JSON that a person can read before signing. Pure.
//
// What is signed is the canonical encoding of the rules with the epoch (consensus/core/system-check.ts), never the text.

import { hex, tryFromHex } from '../../ledger/bytes.ts';
import { HASH_BYTES, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../../ledger/crypto.ts';
import type { Rules } from '../../ledger/epoch.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { rulesOfSettings, SettingError, settingsOf } from './rule-settings.ts';

const FORMAT = 'trustsql rules';
const FORMAT_VERSION = 1;
/** Characters of such a text: rules with 256 members and as many observers have some 300,000. */
const CHARACTERS_MAX = 1_048_576;

export interface Approval {
  /** Of a key of the governance, 32 bytes. */
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Change {
  readonly chainId: Uint8Array;
  /** The one in force, which the approvals are for. */
  readonly epoch: number;
  readonly rules: Rules;
  readonly approvals: readonly Approval[];
}

export function formatChange({ chainId, epoch, rules, approvals }: Change): string {
  const fields = {
    format: FORMAT,
    version: FORMAT_VERSION,
    chainId: hex(chainId),
    epoch,
    rules: settingsOf(rules),
    approvals: approvals.map(({ key, signature }) => ({
      key: hex(key),
      signature: hex(signature),
    })),
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}

/** @throws SettingError for anything that `formatChange` would not have written */
export function parseChange(text: string): Change {
  const fields = text.length > CHARACTERS_MAX ? null : tryParse(text);
  if (fields?.['format'] !== FORMAT || fields['version'] !== FORMAT_VERSION) {
    throw new SettingError(`not a text of the format "${FORMAT}", version ${FORMAT_VERSION}`);
  }
  const { chainId, epoch, rules, approvals } = fields;
  if (!Number.isSafeInteger(epoch) || Number(epoch) < 0) {
    throw new SettingError('epoch: a whole number is expected');
  }
  if (!Array.isArray(approvals) || approvals.length > LIMITS.nodesMax) {
    throw new SettingError(`approvals: a list of at most ${LIMITS.nodesMax} is expected`);
  }
  return {
    chainId: bytesOf('chainId', chainId, HASH_BYTES),
    epoch: Number(epoch),
    rules: rulesOfSettings(rules),
    approvals: approvals.map((each: unknown) => {
      const { key, signature } = (each ?? {}) as Record<string, unknown>;
      return {
        key: bytesOf('approvals', key, PUBLIC_KEY_BYTES),
        signature: bytesOf('approvals', signature, SIGNATURE_BYTES),
      };
    }),
  };
}

function tryParse(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}

function bytesOf(name: string, value: unknown, length: number): Uint8Array {
  const bytes = typeof value === 'string' ? tryFromHex(value) : null;
  if (bytes?.length === length) return bytes;
  throw new SettingError(`${name}: ${2 * length} hexadecimal digits are expected`);
}
