// The golden files from the command line: compare, or rewrite. Shell.
//
//     node tests/golden/main.ts [--server postgres|trustsql] --url postgresql://… [--rewrite] [--quiet] [--spread] [file …]
//
// PostgreSQL is the authority: --rewrite against it writes the answers of every record it runs, against
// TrustSQL only of those marked "@only trustsql". The diff is the review.

import { glob, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { differences, GOLDEN_DIRECTORY, runFile, type Outcome, type Target } from './run.ts';
import { parse, print, type GoldenRecord, type Server } from './walk.ts';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    server: { type: 'string', default: 'trustsql' },
    url: { type: 'string' },
    rewrite: { type: 'boolean', default: false },
    spread: { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
  },
});

/** Puts the answers that were given into the file, keeping all else. */
async function rewrite(file: string, outcome: Outcome, server: Server): Promise<void> {
  const rewritten = outcome.map(({ record, answer }): GoldenRecord => {
    const mine = server === 'postgres' || record.server === 'trustsql';
    return answer !== undefined && mine ? { ...record, answer } : record;
  });
  const text = print(rewritten);
  if (text !== (await readFile(file, 'utf8'))) await writeFile(file, text);
}

async function check(file: string, target: Target): Promise<boolean> {
  const name = path.relative(GOLDEN_DIRECTORY, file);
  const outcomes = [
    ['simple', await runFile(file, target, 'simple')],
    ['extended', await runFile(file, target, 'extended')],
  ] as const;
  if (flags.rewrite) {
    await rewrite(file, outcomes[0][1], target.server);
    const extended = parse(await readFile(file, 'utf8')).map((record, index) => {
      const asked = outcomes[1][1][index];
      return record.protocol === 'extended' && asked !== undefined
        ? { record, answer: asked.answer }
        : { record, answer: undefined };
    });
    await rewrite(file, extended, target.server);
    console.log(`rewritten ${name}`);
    return true;
  }
  let same = true;
  for (const [protocol, outcome] of outcomes) {
    const found = differences(outcome, flags.spread);
    const asked = outcome.filter(({ answer }) => answer !== undefined).length;
    if (found.length > 0) same = false;
    console.log(`${found.length > 0 ? 'FAIL' : 'ok  '} ${name} ${protocol} ${asked - found.length}/${asked}`);
    if (!flags.quiet && found.length > 0) console.log(found.join('\n'));
  }
  return same;
}

const { url, server } = flags;
if (url === undefined || (server !== 'postgres' && server !== 'trustsql')) {
  console.error('usage: main.ts --url postgresql://… [--server postgres|trustsql] [--rewrite] [file …]');
  process.exit(2);
}
const files = positionals.map((file) => path.resolve(file));
if (files.length === 0) {
  for await (const file of glob('**/*.test', { cwd: GOLDEN_DIRECTORY })) {
    files.push(path.join(GOLDEN_DIRECTORY, file));
  }
}
let failed = 0;
for (const file of files.sort()) {
  const same = await check(file, { url, server, spread: flags.spread }).catch((error: unknown) => {
    console.log(`FAIL ${path.relative(GOLDEN_DIRECTORY, file)} ${String(error)}`);
    return false;
  });
  if (!same) failed += 1;
}
console.log(`${files.length - failed} of ${files.length} files as they should be`);
process.exitCode = failed === 0 ? 0 : 1;
