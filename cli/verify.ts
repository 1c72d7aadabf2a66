// `trustsql verify`: checks a data directory from its chain alone, offline. Shell.

import { checkKeyring } from '../identity/check.ts';
import { Keyring, keyringFile } from '../identity/keyring.ts';
import { readMasterKey } from '../identity/master-key.ts';
import { readNodePublicKey } from '../identity/node-key.ts';
import { memberOf } from '../ledger/epoch.ts';
import { isStorageError } from '../ledger/error.ts';
import { systemClock } from '../server/clock.ts';
import type { Config } from '../server/config.ts';
import { masterKeyFileOf } from '../server/initialise.ts';
import { readDataDirectory, shardFile } from '../storage/data-directory.ts';
import { readEpochs } from '../storage/epochs.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { openDatabase } from '../storage/sqlite.ts';
import { readCatalog } from '../storage/state-store.ts';
import { verifyLedger } from '../storage/verify.ts';
import type { Damage, VerifyProgress, VerifyResult } from '../storage/verify.ts';
import { CommandError, EXIT } from './exit.ts';
import { jsonText } from './json.ts';
import { pinsOf } from './pins.ts';
import type { PinFlags } from './pins.ts';
import { shardNumber } from './shard-files.ts';
import { Progress } from './progress.ts';

export interface VerifyOptions extends PinFlags {
  readonly json?: boolean;
}

/** @throws CommandError 1 when damage was found, after it was printed */
export async function runVerify(config: Config, options: VerifyOptions): Promise<void> {
  const ledger = await verified(config.data, pinsOf(options));
  // The catalog is worth comparing with only when it was found to follow from the chain.
  conclude(ledger.ok ? withKeyring(ledger, config) : ledger, options);
}

/** State shards alone, or one. @throws CommandError 1 when damage was found, after it was printed; 2 for a shard that is none */
export async function runVerifyShards(
  shard: string | undefined,
  { data, json }: { readonly data: string; readonly json?: boolean },
): Promise<void> {
  const { stateShards } = readDataDirectory(data);
  const all = Array.from({ length: stateShards }, (_, i) => i);
  const shards = shard === undefined ? all : [shardNumber(data, shard)];
  conclude(await verified(data, { shards }), { json: json === true });
}

async function verified(
  data: string,
  options: Parameters<typeof verifyLedger>[1],
): Promise<VerifyResult> {
  const write = (text: string): void => void process.stderr.write(text);
  const terminal = process.stderr.isTTY;
  const progress = new Progress({ clock: systemClock, write, terminal });
  const onProgress: (progress: VerifyProgress) => void = ({ stage, done, total }) =>
    progress.update(stage, done, total);
  try {
    return await verifyLedger(data, { ...options, onProgress });
  } finally {
    progress.finish();
  }
}

function conclude(result: VerifyResult, options: Pick<VerifyOptions, 'json'>): void {
  process.stdout.write(options.json === true ? jsonText(result) : textOf(result));
  if (!result.ok) throw new CommandError(EXIT.negative, 'the ledger is damaged');
}

/** The result with what the keyring says; without its master key, that it was not checked. */
function withKeyring(result: VerifyResult, config: Config): VerifyResult {
  const { chainId } = readDataDirectory(config.data);
  let masterKey: Uint8Array;
  try {
    masterKey = readMasterKey(masterKeyFileOf(config, chainId));
  } catch (error) {
    if (!isStorageError(error)) throw error;
    const evidence = `keys and passwords of roles were not checked: ${error.message}`;
    return { ...result, evidence: [...result.evidence, evidence] };
  }
  const alone = hasBeenAlone(config.data);
  const [fault] = keyringFaults(config.data, masterKey, alone);
  if (fault !== undefined) {
    const damage = { file: keyringFile(config.data), message: fault };
    return { ...result, ok: false, damage };
  }
  const evidence = alone
    ? 'keys and passwords of hosted roles are those the chain has committed to'
    : 'keys and passwords of the roles that this node hosts are sound; those of others are not here';
  return { ...result, evidence: [...result.evidence, evidence] };
}

/** Whether this node has ordered alone at all times: then its keyring has the keys and passwords of all roles. */
function hasBeenAlone(directory: string): boolean {
  const epochs = readEpochs(directory);
  if (epochs.some(({ config }) => config.policy !== 'solo')) return false;
  try {
    // A node that is to be added follows the blocks of the one that is.
    return memberOf(epochs[0]!.config, readNodePublicKey(directory)) >= 0;
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return true;
  }
}

function keyringFaults(
  directory: string,
  masterKey: Uint8Array,
  alone: boolean,
): readonly string[] {
  const state = openDatabase(shardFile(directory, 0), { readonly: true });
  try {
    const keyring = Keyring.open(directory, nativeCrypto, masterKey);
    try {
      return checkKeyring(keyring, readCatalog(state).roles.values(), alone);
    } finally {
      keyring.close();
    }
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return [error.message];
  } finally {
    state.close();
  }
}

function textOf(result: VerifyResult): string {
  const { damage, height, blocks, transactions, rows, chainId, evidence } = result;
  const verdict =
    damage === null
      ? `SOUND: chain ${chainId} up to block ${height}\n` +
        `  ${blocks} blocks, ${transactions} transactions, ${rows} rows compared\n`
      : damageText(damage);
  return verdict + evidence.map((sentence) => `  ${sentence}\n`).join('');
}

function damageText(damage: Damage): string {
  const { message, height, ...places } = damage;
  const named = Object.entries({ ...places, block: height })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `  ${name.padEnd(11)} ${String(value)}\n`);
  return `DAMAGED: ${message}\n${named.join('')}`;
}
