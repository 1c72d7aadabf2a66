// Asks a PostgreSQL server through psql. Shell; used only where vectors are recorded or compared.

import { execFileSync } from 'node:child_process';

/** Runs a script and answers its unaligned output. @param url  PGTEST_URL: a connection string */
export function psql(url: string, script: string): string {
  return execFileSync('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', url], {
    input: script,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
}

/** A string literal; with backslashes it needs no E'' since standard_conforming_strings is on. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Evaluates an expression: its text, or the error's SQLSTATE, message and detail. */
export const TRY_FUNCTION = `
create function pg_temp.attempt(expression text) returns text language plpgsql as $$
declare answer text; state text; message text; detail text;
begin
  -- format() prints with the output function; a cast to text would not, for bool and char.
  execute 'select case when v is null then null else format(''%s'', v) end from (select ('
    || expression || ') as v) s' into answer;
  return json_build_object('text', answer);
exception when others then
  get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail;
  return json_build_object('sqlstate', state, 'message', message, 'detail', detail);
end $$;
`;
