// Writes binary.json: what PostgreSQL's send functions make of the values of value-cases.ts. Shell.
//
//   PGTEST_URL=postgres://… node tests/vectors/record-binary.ts
//
// A row is [type, text, hexadecimal].

import { writeFileSync } from 'node:fs';
import { literal, psql } from './psql.ts';
import { VALUE_CASES } from './value-cases.ts';

const url = process.env['PGTEST_URL'];
if (url === undefined) throw new Error('PGTEST_URL is not set');

const HELPER = `
create function pg_temp.sent(literal text, type text) returns text language plpgsql as $$
declare send text; answer text;
begin
  select typsend into send from pg_type where oid = regexp_replace(type, '(interval).*', '\\1')::regtype;
  if send = '-' then return null; end if;
  execute format('select encode(pg_catalog.%I(cast(%L as %s)), ''hex'')', send, literal, type) into answer;
  return answer;
exception when others then return null;
end $$;
`;

const calls = VALUE_CASES.filter((group) => group.settings === undefined).flatMap((group) =>
  group.inputs.map((input) => ({ type: group.type, input })),
);
const script = calls
  .map(({ type, input }) => `select pg_temp.sent(${literal(input)}, ${literal(type)});`)
  .join('\n');
const answers = psql(url, `set timezone = 'UTC';\n${HELPER}\n${script}`).split('\n');
const rows = calls
  .map(({ type, input }, at) => [type, input, answers[at]!])
  .filter(([type, input, answer]) => answer !== '' || (input === '' && type === 'text'))
  .map((row) => JSON.stringify(row));
writeFileSync(new URL('binary.json', import.meta.url), `[\n${rows.join(',\n')}\n]\n`);
