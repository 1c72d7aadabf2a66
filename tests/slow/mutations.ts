// Breaks the consensus core on purpose, one rule at a time, and asks whether the schedules notice. Shell.
//
//   node tests/slow/mutations.ts                    all of tests/simulation/mutations.ts
//   node tests/slow/mutations.ts --only amnesia     those whose names contain it
//   node tests/slow/mutations.ts --seconds 60       for each
//
// A copy of ledger/, consensus/ and the simulation is changed in a folder of its own; the sources stay as they are.
// Schedules stop at the first failure, so a mutation is killed as soon as its process fails.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mutate } from '../simulation/mutation.ts';
import type { Mutation } from '../simulation/mutation.ts';
import { MUTATIONS } from '../simulation/mutations.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COPIED = [
  'package.json',
  'jest.config.mjs',
  'ledger',
  'consensus',
  'storage/native-crypto.ts',
  'tests/run.mjs',
  'tests/strip-types.mjs',
  'tests/simulation',
  'tests/slow/consensus.ts',
  'tests/unit/ledger/quorum.test.ts',
  'tests/unit/consensus/evidence.test.ts',
  'tests/unit/consensus/suspicion.test.ts',
];

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: '60' },
    first: { type: 'string', default: '1' },
  },
});

function copy(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'trustsql-mutation-'));
  for (const name of COPIED)
    cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  return folder;
}

/** @returns what killed it, or null */
function run(folder: string, mutation: Mutation): string | null {
  for (const [file, text] of mutate(mutation, (name) =>
    readFileSync(path.join(ROOT, name), 'utf8'),
  )) {
    writeFileSync(path.join(folder, file), text);
  }
  const seconds = Number(values.seconds);
  const command =
    mutation.test === undefined
      ? [
          'tests/slow/consensus.ts',
          '--no-shrink',
          `--minutes=${seconds / 60}`,
          `--first=${values.first}`,
          `--options=${JSON.stringify(mutation.options ?? {})}`,
        ]
      : ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', mutation.test];
  // What never ends is as dead as what fails.
  const timeout = (seconds + 30) * 1_000;
  const { status, stdout } = spawnSync(process.execPath, command, {
    cwd: folder,
    timeout,
    encoding: 'utf8',
  });
  for (const { file } of mutation.edits) cpSync(path.join(ROOT, file), path.join(folder, file));
  if (status === 0) return null;
  return stdout.split('\n')[0] || 'a test';
}

const folder = copy();
const chosen = MUTATIONS.filter(({ name }) => name.includes(values.only));
const survivors: string[] = [];
try {
  for (const mutation of chosen) {
    const began = performance.now();
    const killer = run(folder, mutation);
    const seconds = ((performance.now() - began) / 1_000).toFixed(1);
    if (killer === null) survivors.push(mutation.name);
    console.log(
      `${killer === null ? 'SURVIVES' : 'killed'} ${seconds} s  ${mutation.name}: ${killer ?? ''}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${chosen.length - survivors.length} of ${chosen.length} killed`);
process.exitCode = survivors.length > 0 ? 1 : 0;
