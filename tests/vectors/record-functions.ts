// Writes functions.json: what PostgreSQL's functions answer to samples of arguments. Shell.
//
//   PGTEST_URL=postgres://… node tests/vectors/record-functions.ts
//
// A row is [symbol, arguments, answer]; an answer is the text, null, or [SQLSTATE, message].

import { writeFileSync } from 'node:fs';
import { FUNCTIONS } from '../../ledger/functions.ts';
import type { BaseType } from '../../ledger/type.ts';
import { samplesFor } from './function-samples.ts';
import { literal, psql, TRY_FUNCTION } from './psql.ts';

const url = process.env['PGTEST_URL'];
if (url === undefined) throw new Error('PGTEST_URL is not set');

/** Calls recorded of a comparison, and of any other function. */
const COMPARISON_CALLS = 5;
const CALLS = 14;

/** [symbol, proname, argument types] of the built-in functions. */
const catalog = psql(
  url,
  `select prosrc, proname, (select string_agg(t.typname, ',' order by n)
     from unnest(proargtypes) with ordinality u(o, n) join pg_type t on t.oid = u.o)
   from pg_proc where pronamespace = 11 and (prolang = 12)
   union all select proname, proname, (select string_agg(t.typname, ',' order by n)
     from unnest(proargtypes) with ordinality u(o, n) join pg_type t on t.oid = u.o)
   from pg_proc where pronamespace = 11 and prolang = 14`,
)
  .trimEnd()
  .split('\n')
  .map((line) => line.split('|'));

/** All combinations, thinned evenly to `most`. */
function combinations(lists: readonly (readonly string[])[], most: number): string[][] {
  const total = lists.reduce((product, list) => product * list.length, 1);
  const step = Math.max(total / most, 1);
  const chosen: string[][] = [];
  for (let at = 0; at < total; at += step) {
    // Steps are stirred so that no argument stays the same.
    let rest = (Math.floor(at) * 7_919 + 13) % total;
    if (total <= most) rest = Math.floor(at);
    chosen.push(
      lists.map((list) => {
        const value = list[rest % list.length]!;
        rest = Math.floor(rest / list.length);
        return value;
      }),
    );
  }
  return chosen;
}

const calls: { readonly name: string; readonly args: readonly string[]; readonly text: string }[] = [];
const missing: string[] = [];
for (const [name, { args, result }] of FUNCTIONS) {
  const wanted = args.join(',');
  const found = catalog.find(([symbol, , types]) => symbol === name && types === wanted);
  if (found === undefined) {
    missing.push(`${name}(${wanted})`);
    continue;
  }
  const comparison = args.length === 2 && (result === 'bool' || name.endsWith('cmp'));
  const most = comparison && !/like|contain|exists/.test(name) ? COMPARISON_CALLS : /extract|part|trunc/.test(name) ? 60 : CALLS;
  const lists = args.map((base: BaseType, place) => samplesFor(name, place, base));
  for (const values of combinations(lists, most)) {
    const list = values.map((value, place) => `${literal(value)}::${typeText(args[place]!)}`).join(', ');
    calls.push({ name, args: values, text: `pg_catalog."${found[1]}"(${list})` });
  }
}

function typeText(base: BaseType): string {
  return base === 'char' ? '"char"' : base;
}

const script = calls.map(({ text }) => `select pg_temp.attempt(${literal(text)});`).join('\n');
const answers = psql(url, `set timezone = 'UTC';\n${TRY_FUNCTION}\n${script}`).trimEnd().split('\n');
const rows = calls.map(({ name, args }, at) => {
  const { text, sqlstate, message } = JSON.parse(answers[at]!) as Record<string, string | null>;
  return JSON.stringify([name, args, sqlstate === undefined ? text : [sqlstate, message]]);
});
writeFileSync(new URL('functions.json', import.meta.url), `[\n${rows.join(',\n')}\n]\n`);
if (missing.length > 0) console.error(`not in PostgreSQL: ${missing.join(' ')}`);
