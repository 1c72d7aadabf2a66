// Reader and writer of golden files: statements and the answers a server must give. Pure.
//
// A file is a list of records, separated by blank lines. A record is
//
//     # comments, for the reader
//     @directive argument
//     SQL text, one or more lines
//     < a line of COPY data, when the statement copies in
//     ----
//     the answer, as tests/golden/session.ts prints it
//
// A record without SQL is a comment, or (with @finish) takes the answer of a statement that was waiting.
// Directives:
//
//     @session b            run on another connection of the file's own
//     @background           start it and go on: it may have to wait for another session
//     @finish b             the answer of what session b was left doing
//     @bind 1 | NULL | x    run once, over the extended protocol, with these parameters in text format
//     @sort                 the server may give the rows in any order
//     @hide                 the rows differ from run to run: print the columns and the tag only
//     @simple why           run with the simple query protocol only
//     @extended why         run with the extended query protocol only
//     @only postgres why    the servers differ here, and that is why
//     @only trustsql why
//
// (1) print(parse(text)) is text, for a file that print wrote.

export type Server = 'postgres' | 'trustsql';
export type Protocol = 'simple' | 'extended';

/** One record of a golden file. `sql` is empty for a comment and for @finish. */
export interface GoldenRecord {
  readonly line: number;
  readonly comments: readonly string[];
  readonly directives: readonly string[];
  readonly sql: string;
  readonly copyData: readonly string[];
  readonly answer: readonly string[];
  readonly session: string;
  readonly background: boolean;
  readonly finish: string | undefined;
  readonly parameters: readonly (string | null)[] | undefined;
  readonly sort: boolean;
  readonly hide: boolean;
  readonly protocol: Protocol | undefined;
  readonly server: Server | undefined;
}

/** Reads a golden file. @throws Error with the line of the first thing that is not understood. */
export function parse(text: string): GoldenRecord[] {
  const records: GoldenRecord[] = [];
  let lines: string[] = [];
  const source = text.split('\n');
  for (const [index, line] of [...source, ''].entries()) {
    if (line !== '') lines.push(line);
    else if (lines.length > 0) {
      records.push(parseRecord(lines, index - lines.length + 1));
      lines = [];
    }
  }
  return records;
}

/** Writes a golden file. */
export function print(records: readonly GoldenRecord[]): string {
  return records.map((record) => printRecord(record)).join('\n');
}

function printRecord(record: GoldenRecord): string {
  const lines = [...record.comments, ...record.directives];
  if (record.sql !== '') lines.push(record.sql);
  lines.push(...record.copyData.map((line) => (line === '' ? '<' : `< ${line}`)));
  if (record.sql !== '' || record.finish !== undefined) lines.push('----', ...record.answer);
  return lines.join('\n') + '\n';
}

function parseRecord(lines: readonly string[], line: number): GoldenRecord {
  const rule = lines.indexOf('----');
  const head = rule < 0 ? lines : lines.slice(0, rule);
  const answer = rule < 0 ? [] : lines.slice(rule + 1);
  const comments = head.filter((text) => text.startsWith('#'));
  const directives = head.filter((text) => text.startsWith('@'));
  const copyData = head.filter((text) => text.startsWith('<')).map((text) => text.slice(2));
  const sql = head.filter((text) => !/^[#@<]/.test(text)).join('\n');
  const record = { line, comments, directives, sql, copyData, answer };
  return { ...record, ...meaningOf(directives, line) };
}

type Meaning = Pick<
  GoldenRecord,
  | 'session'
  | 'background'
  | 'finish'
  | 'parameters'
  | 'sort'
  | 'hide'
  | 'protocol'
  | 'server'
>;

function meaningOf(directives: readonly string[], line: number): Meaning {
  const given = new Map<string, string>();
  for (const directive of directives) {
    const [, name, argument] = /^@(\w+)\s*(.*)$/.exec(directive) ?? [];
    if (name === undefined || argument === undefined || !DIRECTIVES.has(name)) {
      throw new Error(`line ${line}: unknown directive ${directive}`);
    }
    given.set(name, argument);
  }
  const [server, ...reason] = given.get('only')?.split(' ') ?? [];
  if (server !== undefined && ((server !== 'postgres' && server !== 'trustsql') || !reason[0])) {
    throw new Error(`line ${line}: @only needs a server and the reason`);
  }
  const bind = given.get('bind');
  return {
    session: given.get('session') ?? 'a',
    background: given.has('background'),
    finish: given.get('finish'),
    parameters: bind?.split('|').map((value) => (value.trim() === 'NULL' ? null : value.trim())),
    sort: given.has('sort'),
    hide: given.has('hide'),
    protocol: given.has('simple') ? 'simple' : given.has('extended') ? 'extended' : undefined,
    server: server as Server | undefined,
  };
}

const DIRECTIVES: ReadonlySet<string> = new Set([
  'session',
  'background',
  'finish',
  'bind',
  'sort',
  'hide',
  'simple',
  'extended',
  'only',
]);
