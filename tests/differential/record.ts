// Records the answers of a real PostgreSQL to the corpus. Shell.

import { writeFileSync } from 'node:fs';
import { askPostgres, CORPORA, corpusPath, readCorpus } from './reference.ts';

const url = process.env['PGTEST_URL'];
if (url === undefined) throw new Error('PGTEST_URL names no server');
for (const name of CORPORA) {
  const answers = await askPostgres(url, readCorpus(name));
  writeFileSync(corpusPath(name, 'json'), `${JSON.stringify(answers, null, 1)}\n`);
}
