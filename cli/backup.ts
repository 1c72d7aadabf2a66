// `trustsql backup`, `trustsql backup check`, `trustsql restore`. Shell.

import { existsSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { fromHex } from '../ledger/bytes.ts';
import { isStorageError } from '../ledger/error.ts';
import { checkBackup } from '../server/backup/check.ts';
import { bytesOf } from '../server/backup/directory.ts';
import { makeBackup } from '../server/backup/make.ts';
import { restoreBackup } from '../server/backup/restore.ts';
import type { Restored } from '../server/backup/restore.ts';
import { systemClock } from '../server/clock.ts';
import type { Config } from '../server/config.ts';
import { masterKeyFileOf } from '../server/initialise.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { CommandError, EXIT } from './exit.ts';
import { jsonText } from './json.ts';
import { pinsOf } from './pins.ts';
import type { PinFlags } from './pins.ts';
import { Progress } from './progress.ts';

export interface BackupFlags {
  readonly to: string;
  readonly json?: boolean;
}

export interface FromFlags {
  readonly from: string;
  readonly json?: boolean;
}

export type CheckFlags = FromFlags & PinFlags;

export interface RestoreFlags extends FromFlags {
  readonly height?: string;
}

const KEY_NOTE = 'The master key is not in it: keep a copy of that elsewhere.\n';

export function runBackup(data: string, { to, json }: BackupFlags): void {
  // The node, which may run beside it, comes first.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const made = withProgress((onProgress) =>
    makeBackup({ data, to, crypto: nativeCrypto, clock: systemClock, onProgress }),
  );
  const { chainId, height, headerHash, added, replaced, blocks, secrets } = made;
  const bytes = bytesOf([...blocks, ...secrets]);
  if (json === true) {
    process.stdout.write(jsonText({ to, chainId, height, headerHash, added, bytes, replaced }));
    return;
  }
  const anew = replaced.map((fault) => `  made anew   ${fault}\n`).join('');
  process.stdout.write(
    `A backup up to block ${height} is in ${to}.\n` +
      `  chain       ${chainId}\n` +
      `  header      ${headerHash}\n` +
      `  new blocks  ${added}\n` +
      `  bytes       ${bytes}\n${anew}${KEY_NOTE}`,
  );
}

/** @throws CommandError 1 when damage was found, after it was printed; 2 for pins that are none */
export function runBackupCheck({ from, json, ...flags }: CheckFlags): void {
  const pins = pinsOf(flags);
  const checked = withProgress((onProgress) => {
    try {
      return checkBackup({ from, pins, crypto: nativeCrypto, onProgress });
    } catch (error) {
      if (!isStorageError(error) || error.fault !== 'damaged') throw error;
      return error.message;
    }
  });
  if (typeof checked === 'string') {
    const result = { from, ok: false, damage: checked };
    process.stdout.write(json === true ? jsonText(result) : `DAMAGED: ${checked}\n`);
    throw new CommandError(EXIT.negative, 'the backup is damaged');
  }
  const { chainId, height, headerHash, time, evidence } = checked;
  if (json === true) {
    const result = { from, ok: true, chainId, height, headerHash, time, evidence };
    process.stdout.write(jsonText(result));
    return;
  }
  process.stdout.write(
    `SOUND: chain ${chainId} up to block ${height}\n` +
      `  header ${headerHash}\n` +
      `  made ${time}\n` +
      '  files, links, certificates and chunks are whole; what executing the blocks gives is checked by trustsql restore\n' +
      evidence.map((sentence) => `  ${sentence}\n`).join(''),
  );
}

/** @throws CommandError 2 for a height that is none */
export function runRestore(config: Config, { from, height, json }: RestoreFlags): void {
  const { data } = config;
  if (height !== undefined && !/^\d{1,15}$/.test(height)) {
    throw new CommandError(EXIT.usage, `--height: ${height} is not the height of a block`);
  }
  const restored = withProgress((onProgress) =>
    restoreBackup({
      from,
      data,
      height: height === undefined ? null : Number(height),
      crypto: nativeCrypto,
      onProgress,
    }),
  );
  const masterKeyFile = masterKeyFileOf(config, fromHex(restored.chainId));
  const notes = notesOf(restored, masterKeyFile);
  if (json === true) {
    process.stdout.write(jsonText({ data, ...restored, masterKeyFile, notes }));
    return;
  }
  process.stdout.write(
    `Blocks 0 to ${restored.height} are in ${data}, executed and checked.\n` +
      `  chain       ${restored.chainId}\n` +
      `  header      ${restored.headerHash}\n` +
      notes.map((note) => `${note}\n`).join(''),
  );
}

/** What whoever starts the node must know, as sentences. */
function notesOf(restored: Restored, masterKeyFile: string): string[] {
  const { policy, members, member, height } = restored;
  const notes: string[] = [];
  if (!existsSync(masterKeyFile)) {
    notes.push(`The master key is not in a backup: put it to ${masterKeyFile} before the start.`);
  }
  if (!member) {
    notes.push(
      'The key of this node is none of those that sign what follows: it receives blocks, if others have them, and can be read.',
    );
  } else if (policy === 'solo') {
    notes.push(
      `Whatever was written after block ${height} is not here. Start it only if no other copy of this ledger goes on:` +
        ' both would sign, with one key, blocks that contradict each other.',
    );
  } else if (members === 1) {
    notes.push(
      'This cluster of one has lost its record of votes and signs nothing: the ledger can be read.',
    );
  } else {
    notes.push(
      'Start it when the original never will be again: it gets newer blocks from the others, and votes' +
        ' when what it may have signed is past.',
    );
  }
  return notes;
}

function withProgress<T>(work: (onProgress: Progress['update']) => T): T {
  const write = (text: string): void => void process.stderr.write(text);
  const progress = new Progress({ clock: systemClock, write, terminal: process.stderr.isTTY });
  try {
    return work((stage, done, total) => progress.update(stage, done, total));
  } finally {
    progress.finish();
  }
}
