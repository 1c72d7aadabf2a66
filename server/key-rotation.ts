// A node's key gives way to a new one: what happens in its data directory. What happens on the chain is one change of
// the rules, which `trustsql node rotate-key` puts before the members. Shell.
//
//   keepRotation    the new key lies beside the old one; nobody knows of it
//   (the change)    the chain lists the new key in the place of the old one
//   markNextNodeKeyDue, of identity/node-key.ts: the operator's command has seen that
//   rotatedKey      the next start takes the new key, and the old one is gone
//
// (1) A node signs with one key at a time, and changes it only as it starts.
// (2) It takes the new one when its own blocks list it, or when the command has seen the change in force: one that was
//     down meanwhile would not get the blocks that say so with the old key.
// (3) Until then the old key is there: rules that never came into force change nothing.

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { defaultMasterKeyFile, readMasterKey, writeMasterKey } from '../identity/master-key.ts';
import {
  keepNextNodeKey,
  openNodeKey,
  readNextNodeKey,
  readNodePublicKey,
  takeNextNodeKey,
} from '../identity/node-key.ts';
import type { NodeKey } from '../identity/node-key.ts';
import { hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { isListed } from '../ledger/epoch.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import { readDataDirectory } from '../storage/data-directory.ts';
import type { Config } from './config.ts';
import { masterKeyFileOf, onDisk } from './initialise.ts';
import type { Log } from './log.ts';

/** Puts the new key beside the node's own, sealed under the same master key. @throws StorageError */
export function keepRotation(config: Config, key: NodeKey): void {
  const file = masterKeyFileOf(config, readDataDirectory(config.data).chainId);
  const masterKey = readMasterKey(file);
  // It may be named after the node: then it must be found under the new name, too, from the moment that counts.
  const named = file === defaultMasterKeyFile(readNodePublicKey(config.data));
  const renamed = defaultMasterKeyFile(key.publicKey);
  if (named && !existsSync(renamed)) writeMasterKey(renamed, masterKey);
  keepNextNodeKey(config.data, key, masterKey);
}

/**
 * The key that a node which starts has from now on: the one that waits if its time has come, else the one it had.
 *
 * @param rules  in force as far as this node knows
 * @throws StorageError io, damaged
 */
export function rotatedKey(
  config: Config,
  crypto: Crypto,
  old: NodeKey,
  rules: EpochConfig,
  log: Log,
): NodeKey {
  const next = readNextNodeKey(config.data);
  if (next === null || !(next.due || isListed(rules, next.publicKey))) return old;
  const { chainId } = readDataDirectory(config.data);
  // Sealed by a key of the old one: the analyst would take its images for edited.
  const images = join(config.data, 'analyst');
  onDisk(images, () => rmSync(images, { recursive: true, force: true }));
  takeNextNodeKey(config.data, next);
  const masterKeyFile = masterKeyFileOf(config, chainId);
  const key = openNodeKey(config.data, crypto, readMasterKey(masterKeyFile));
  if (masterKeyFile === defaultMasterKeyFile(key.publicKey)) {
    const before = defaultMasterKeyFile(old.publicKey);
    onDisk(before, () => rmSync(before, { force: true }));
  }
  log.info('the key of this node has changed', {
    from: hex(old.publicKey),
    to: hex(key.publicKey),
  });
  return key;
}
