// Run by crash.test.ts: appends blocks to a ledger and kills itself at a given step of a given block.
//
// Prints the height of every block that `append` has acknowledged.

import { writeSync } from 'node:fs';
import { insertNote, openNotes } from './notes-fixture.ts';
import type { Step } from '../../../storage/chain-writer.ts';

const [directory, step, height] = process.argv.slice(2) as [string, Step | 'tidied', string];

const ledger = openNotes(directory, {
  onStep: (at, block) => {
    if (at === step && block === Number(height)) process.kill(process.pid, 'SIGKILL');
  },
});
for (let id = ledger.writer.tip.height + 1; ; id++) {
  ledger.run([insertNote(0, BigInt(id)), insertNote(1, BigInt(id))]);
  writeSync(1, `${id}\n`);
  if (id % 3 === 0) ledger.writer.tidy();
  if (step === 'tidied' && id === Number(height)) process.kill(process.pid, 'SIGKILL');
}
