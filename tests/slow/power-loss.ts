// Power loss: what a disk may hold when everything that was not synced is lost, or torn, or in another order. Shell;
// run by .ci/run, needs a C compiler and Linux.
//
//     node tests/slow/power-loss.ts [--minutes 3] [--seed n] [--scenario 'small files']
//     node tests/slow/power-loss.ts --scenario name --recording <folder> --seed n [--point n --image n]
//
// A recorder in the process (power-loss/record.c) writes down all that is done to the files; a model of a disk
// (power-loss/disk.ts) makes of it what may be left at any moment. Each such image is opened, must recover by itself, and
// must hold every transaction acknowledged before that moment once and none that was refused. Prints its seed; keeps
// the recording of an image that fails, and says how to make it again.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { seeded } from '../end-to-end/crash-workload.ts';
import { Disk } from './power-loss/disk.ts';
import type { Image } from './power-loss/disk.ts';
import { decodeLog } from './power-loss/log.ts';
import type { LogRecord } from './power-loss/log.ts';
import { NODE } from './power-loss/node.ts';
import { makeRecording } from './power-loss/scenario.ts';
import type { Scenario } from './power-loss/scenario.ts';
import { SMALL_FILES } from './power-loss/small-files.ts';

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    // One and the same in CI, where a finding must not depend on the day.
    seed: {
      type: 'string',
      default: process.env['CI'] === undefined ? String(Date.now() % 1_000_000) : '611',
    },
    scenario: { type: 'string' },
    recording: { type: 'string' },
    point: { type: 'string' },
    image: { type: 'string' },
  },
});

const SCENARIOS = [NODE, SMALL_FILES] as readonly Scenario[];
/** In memory, where there is such a folder: what is synced there is recorded all the same. */
const TEMPORARY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
/** Images between two looks at the clock: the log is gone through once for them. */
const ROUND = 40;
/** How many records before or after an interesting one the power fails. */
const NEAR = 2;
/** Marks that may fall between the sync of a file and that of its name. */
const NAMELESS_MARKS_MAX = 20;
/** Images that hold what may be lost as a whole. */
const CACHE_EVERY = 40;

interface Moment {
  /** The power fails before the record of this number. */
  readonly point: number;
  /** Number of the image, and seed of what is drawn for it. */
  readonly image: number;
}

/** What kind of moment a record is; moments of each kind are drawn as often. */
function momentOf({ kind, path: name }: LogRecord): string {
  const file = path.basename(name).replace(/\d+/g, 'n');
  const all = ['sync', 'write', 'sync begins', 'truncate'].includes(kind);
  return all ? `${kind} ${file}` : kind;
}

function momentsOf(records: readonly LogRecord[]): number[][] {
  const kinds = new Map<string, number[]>();
  for (const [i, record] of records.entries()) {
    const kind = momentOf(record);
    const known = kinds.get(kind);
    if (known === undefined) kinds.set(kind, [i]);
    else known.push(i);
  }
  return [...kinds.values()];
}

function drawMoments(kinds: readonly number[][], seed: number, firstImage: number): Moment[] {
  const random = seeded(seed + firstImage);
  const one = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!;
  const moments = Array.from({ length: ROUND }, (_, i) => {
    const near = Math.floor(random() * (2 * NEAR + 1)) - NEAR;
    return { point: Math.max(0, one(one(kinds)) + 1 + near), image: firstImage + i };
  });
  return moments.sort((a, b) => a.point - b.point);
}

function writeImage(root: string, image: Image): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  for (const [name, bytes] of image) {
    const file = path.join(root, name);
    if (bytes === null) mkdirSync(file, { mode: 0o700 });
    else writeFileSync(file, bytes, { mode: 0o600 });
  }
}

/** A recording is whole when the model reads what is there at the end. */
function recordingFault(disk: Disk, root: string): string | null {
  const image = disk.image(null);
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  for (const name of names.filter((each) => !each.endsWith('-shm'))) {
    const expected = image.get(name);
    if (expected === undefined) return `${name} was made, and is not in the log`;
    if (expected !== null && !expected.equals(readFileSync(path.join(root, name)))) {
      return `${name} has other bytes than the log`;
    }
  }
  for (const name of image.keys()) {
    if (!names.includes(name)) return `${name} is in the log, and is not there`;
  }
  return null;
}

class Trial {
  readonly #scenario: Scenario;
  readonly #records: readonly LogRecord[];
  readonly #root: string;
  readonly #folder: string;
  readonly #marks: readonly { readonly at: number; readonly mark: unknown }[];

  constructor(scenario: Scenario, records: readonly LogRecord[], folder: string) {
    this.#scenario = scenario;
    this.#records = records;
    this.#folder = folder;
    this.#root = path.join(folder, 'root');
    this.#marks = records.flatMap(({ kind, data }, at) =>
      kind === 'mark' ? [{ at, mark: JSON.parse(data.toString()) as unknown }] : [],
    );
  }

  /** @returns the faults of the first image that has some, and its moment; null when all are well */
  async run(
    moments: readonly Moment[],
    seed: number,
  ): Promise<{ readonly moment: Moment; readonly faults: readonly string[] } | null> {
    const disk = new Disk(this.#root);
    let at = 0;
    for (const moment of moments) {
      for (; at < Math.min(moment.point, this.#records.length); at += 1)
        disk.apply(this.#records[at]!);
      const root = path.join(this.#folder, 'image');
      const without = moment.image % CACHE_EVERY === 0 ? '' : this.#scenario.cache;
      writeImage(root, disk.image(seeded(seed * 65_537 + moment.image), without));
      const before = this.#marks.filter((mark) => mark.at < moment.point).map(({ mark }) => mark);
      const all = this.#marks.map(({ mark }) => mark);
      const faults = await this.#scenario.check(root, before, all, moment.image);
      if (faults.length > 0) return { moment, faults };
    }
    return null;
  }
}

/** Records what the scenario does. @returns what is wrong with the recording, or with what was recorded */
async function record(scenario: Scenario, folder: string, seed: number): Promise<string | null> {
  const recording = makeRecording(folder);
  await scenario.record(recording, seed);
  const disk = new Disk(recording.root);
  const nameless = new Map<string, number>();
  for (const each of decodeLog(readFileSync(recording.log))) {
    disk.apply(each);
    if (each.kind !== 'mark') continue;
    for (const file of disk.nameless()) nameless.set(file, (nameless.get(file) ?? 0) + 1);
  }
  for (const [file, marks] of nameless) {
    if (marks <= NAMELESS_MARKS_MAX || file.startsWith(`${scenario.cache}/`)) continue;
    return `${file}: synced, and its name in the folder was not`;
  }
  return recordingFault(disk, recording.root);
}

/** @returns whether all images were well */
async function tryImages(scenario: Scenario, folder: string, seed: number): Promise<boolean> {
  const { name, share } = scenario;
  const records = decodeLog(readFileSync(path.join(folder, 'log')));
  const kinds = momentsOf(records);
  console.log(`${name}: ${records.length} records, ${kinds.length} kinds of moments`);
  const trial = new Trial(scenario, records, folder);
  const end = Date.now() + Number(flags.minutes) * 60_000 * share;
  let images = 0;
  for (; Date.now() < end; images += ROUND) {
    const found = await trial.run(drawMoments(kinds, seed, images), seed);
    if (found === null) continue;
    const { point, image } = found.moment;
    console.error(`${name}, image ${image}, before record ${point}:`);
    console.error(found.faults.slice(0, 20).join('\n'));
    const place = `--recording ${folder} --point ${point} --image ${image}`;
    console.error(`again: --scenario '${name}' --seed ${seed} ${place}`);
    return false;
  }
  console.log(`${name}: ${images} images recovered`);
  if (await noticesMissingSyncs(scenario, records, folder, seed)) return true;
  console.error(`${name}: that the journal is not synced was not noticed`);
  return false;
}

/** The test of the test: without the syncs of the journal something acknowledged must be gone. */
async function noticesMissingSyncs(
  scenario: Scenario,
  records: readonly LogRecord[],
  folder: string,
  seed: number,
): Promise<boolean> {
  const without = records.filter(
    ({ kind, path: name }) => kind !== 'sync' || !/journal-\d$/.test(name),
  );
  const moments = drawMoments(momentsOf(without), seed, 0);
  return (await new Trial(scenario, without, folder).run(moments, seed)) !== null;
}

async function again(scenario: Scenario, folder: string, seed: number): Promise<boolean> {
  if (flags.point === undefined) return tryImages(scenario, folder, seed);
  const records = decodeLog(readFileSync(path.join(folder, 'log')));
  const moment = { point: Number(flags.point), image: Number(flags.image) };
  const found = await new Trial(scenario, records, folder).run([moment], seed);
  console.log(found === null ? 'recovered' : found.faults.join('\n'));
  return found === null;
}

async function main(): Promise<number> {
  const seed = Number(flags.seed);
  const chosen = SCENARIOS.filter(
    ({ name }) => flags.scenario === undefined || name === flags.scenario,
  );
  if (flags.recording !== undefined) {
    return (await again(chosen[0]!, flags.recording, seed)) ? 0 : 1;
  }
  console.log(`power loss: ${flags.minutes} minutes, seed ${seed}`);
  for (const scenario of chosen) {
    const folder = mkdtempSync(path.join(TEMPORARY, 'trustsql-power-'));
    const fault = await record(scenario, folder, seed);
    if (fault !== null) throw new Error(`${scenario.name}: ${fault}`);
    if (!(await tryImages(scenario, folder, seed))) return 1;
    rmSync(folder, { recursive: true });
  }
  return 0;
}

process.exitCode = await main();
