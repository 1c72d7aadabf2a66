// Writes numeric-math.json: PostgreSQL's sqrt, ln, exp, power and log of numerics. Shell.
//
//   PGTEST_URL=postgres://… node tests/vectors/record-numeric-math.ts
//
// A row is [function, arguments, answer]; an answer is the text or [SQLSTATE, message].

import { writeFileSync } from 'node:fs';
import { literal, psql, TRY_FUNCTION } from './psql.ts';

const url = process.env['PGTEST_URL'];
if (url === undefined) throw new Error('PGTEST_URL is not set');

/** Longer answers are left out of the file. */
const ANSWER_LENGTH_MAX = 200;

const VALUES = [
  '0', '1', '2', '3', '10', '0.5', '1.05', '0.95', '0.0001', '123456.789', '99999999999999999999', '1e-30', '-1',
  '-2.5', '2.0000', '1.000000001', 'NaN', 'Infinity', '-Infinity', '10000', '12345678', '0.00012345',
]; // prettier-ignore
const EXPONENTS = [
  '0', '1', '-1', '2', '0.5', '-0.5', '10', '-7', '1.5', '100', 'NaN', 'Infinity', '-Infinity', '3.00', '0.333333',
]; // prettier-ignore

const calls: (readonly [string, readonly string[]])[] = [];
for (const value of VALUES) {
  for (const name of ['sqrt', 'ln', 'exp']) calls.push([name, [value]]);
  for (const exponent of EXPONENTS) calls.push(['power', [value, exponent]]);
  for (const other of VALUES) calls.push(['log', [value, other]]);
}
const script = calls.map(([name, args]) => {
  const list = args.map((arg) => `${literal(arg)}::numeric`).join(', ');
  return `select pg_temp.attempt(${literal(`${name}(${list})`)});`;
});
const answers = psql(url, `${TRY_FUNCTION}\n${script.join('\n')}`).trimEnd().split('\n');
const rows = calls
  .map(([name, args], at) => {
    const { text, sqlstate, message } = JSON.parse(answers[at]!) as Record<string, string | null>;
    return JSON.stringify([name, args, sqlstate === undefined ? text : [sqlstate, message]]);
  })
  .filter((row) => row.length <= ANSWER_LENGTH_MAX);
writeFileSync(new URL('numeric-math.json', import.meta.url), `[\n${rows.join(',\n')}\n]\n`);
