// Run by unnamed-chunks.test.ts: stores a chunk and appends the block that names it, and kills itself at a step.

import { encodeOperations } from '../../../ledger/encoding.ts';
import { insertNote, openNotes } from './notes-fixture.ts';

const [directory, step] = process.argv.slice(2) as [string, string];

function kill(): void {
  process.kill(process.pid, 'SIGKILL');
}

const ledger = openNotes(directory, { onStep: (at) => (at === step ? kill() : undefined) });
const hash = ledger.writer.putChunk(encodeOperations([insertNote(0, 1n)]));
if (step === 'put') kill();
ledger.run([{ kind: 'chunks', hashes: [hash], bytes: 0 }]);
