// Writes values.json: what PostgreSQL answers to value-cases.ts. Shell.
//
//   PGTEST_URL=postgres://… node tests/vectors/record-values.ts

import { writeFileSync } from 'node:fs';
import { literal, psql, TRY_FUNCTION } from './psql.ts';
import { VALUE_CASES } from './value-cases.ts';

const url = process.env['PGTEST_URL'];
if (url === undefined) throw new Error('PGTEST_URL is not set');
const groups = VALUE_CASES.map((group) => {
  const settings = Object.entries(group.settings ?? {})
    .map(([name, value]) => `set ${name} = ${literal(value)};`)
    .join('\n');
  const rows = group.inputs
    .map((input) => `select pg_temp.attempt(${literal(`cast(${literal(input)} as ${group.type})`)});`)
    .join('\n');
  const script = `set timezone = 'UTC'; set datestyle = 'ISO, MDY'; ${settings}\n${TRY_FUNCTION}\n${rows}`;
  const answers = psql(url, script).trimEnd().split('\n');
  return {
    type: group.type,
    settings: group.settings ?? {},
    cases: group.inputs.map((input, at) => ({ input, ...JSON.parse(answers[at]!) })),
  };
});
const lines = groups.map(({ type, settings, cases }) => {
  const head = `{"type":${JSON.stringify(type)},"settings":${JSON.stringify(settings)},"cases":[\n`;
  return `${head}${cases.map((each) => '  ' + JSON.stringify(each)).join(',\n')}\n]}`;
});
writeFileSync(new URL('values.json', import.meta.url), `[\n${lines.join(',\n')}\n]\n`);
