// The house keeps its shape: directions, doors, purity, lengths, comments. Reads the source text; no tool needed.

import { describe, expect, test } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SQLSTATE } from '../../ledger/sqlstate.ts';

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

/** What each folder may import besides itself. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  ledger: [],
  storage: ['ledger'],
  identity: ['storage', 'ledger'],
  sql: ['storage', 'ledger'],
  consensus: ['storage', 'ledger'],
  server: ['sql', 'consensus', 'identity', 'storage', 'ledger'],
  cli: ['server', 'sql', 'consensus', 'identity', 'storage', 'ledger'],
};

/** Where sql and consensus may meet. */
const COMPOSITION_ROOT = 'server/node.ts';

/** The one file, or two where a type and its use are split, through which a package enters. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  '@electric-sql/pglite': ['sql/analyst/postgres.ts'],
  '@noble/ed25519': ['ledger/noble-crypto.ts'],
  '@noble/hashes': ['ledger/noble-crypto.ts'],
  'better-sqlite3': ['storage/sqlite.ts'],
  commander: ['cli/main.ts'],
  'libpg-query': ['sql/parse.ts'],
  pg: ['cli/connect.ts'],
  'pg-protocol': ['server/pgwire/encode.ts'],
  'sodium-native': ['storage/native-crypto.ts'],
  ws: ['server/peers/wire.ts'],
};

const LINES_MAX = 700;
/** Prettier keeps code to 100; comments and texts that nobody can break may be longer, within reason. */
const COLUMNS_MAX = 160;
const IMPURE =
  /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|process\.|Buffer\b|globalThis|setTimeout|crypto\.getRandomValues|await |async )/;

interface Source {
  readonly file: string;
  readonly text: string;
  /** Comments and string contents blanked out, as far as regular expressions can. */
  readonly code: string;
  readonly imports: readonly string[];
}

function read(file: string): Source {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  const code = text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, "''")
    .replace(/\/\/.*$/gm, '');
  const patterns = [
    /^(?:import|export)\b[^;'"]*?\bfrom\s+['"]([^'"]+)['"]/gm,
    /^import\s+['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
    // A worker or a child process is an import too.
    /new URL\(\s*['"]([^'"]+\.ts)['"]\s*,\s*import\.meta\.url/g,
  ];
  const imports = patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) =>
      pattern.source.startsWith('new URL') ? match[1]!.replace(/^(?!\.)/, './') : match[1]!,
    ),
  );
  return { file, text, code, imports };
}

function sources(folder: string): Source[] {
  const full = path.join(ROOT, folder);
  if (!existsSync(full)) return [];
  return readdirSync(full, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(`${folder}/${name.replaceAll('\\', '/')}`));
}

const PRODUCT = Object.keys(LAYERS).flatMap(sources);
const OTHERS = ['tests', 'benchmarks'].flatMap(sources);

/** `file: what` for each fault; a failure prints them all. */
function faults(
  files: readonly Source[],
  faultsOf: (source: Source) => readonly string[],
): string[] {
  return files.flatMap((source) => faultsOf(source).map((what) => `${source.file}: ${what}`));
}

/** Path below the root of a relative import. */
function target(source: Source, specifier: string): string {
  return path.posix.normalize(path.posix.join(path.posix.dirname(source.file), specifier));
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

describe('imports', () => {
  test('run one way', () => {
    const found = faults(PRODUCT, (source) => {
      const folder = source.file.split('/')[0]!;
      return source.imports
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => target(source, specifier))
        .filter((to) => {
          const layer = to.split('/')[0]!;
          return layer !== folder && to !== 'package.json' && !LAYERS[folder]!.includes(layer);
        })
        .map((to) => `imports ${to}`);
    });
    expect(found).toEqual([]);
  });

  test('of sql and consensus meet in the composition root only', () => {
    const values = /^import (?!type)[^;]*?from\s+'[^']*\/(sql|consensus)\//gm;
    const found = faults(PRODUCT, ({ file, text }) => {
      if (file === COMPOSITION_ROOT) return [];
      const layers = new Set([...text.matchAll(values)].map((match) => match[1]));
      return layers.size > 1 ? ['imports both sql and consensus'] : [];
    });
    expect(found).toEqual([]);
  });

  test('name the file with its ending, and the file is there', () => {
    const found = faults([...PRODUCT, ...OTHERS], (source) =>
      source.imports
        .filter((specifier) => specifier.startsWith('.'))
        .filter((specifier) => !existsSync(path.join(ROOT, target(source, specifier))))
        .map((specifier) => `imports ${specifier}, which is not there`),
    );
    expect(found).toEqual([]);
  });

  test('of a package go through its one door', () => {
    const found = faults(PRODUCT, ({ file, imports }) =>
      imports
        .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
        .filter((specifier) => !(DOORS[packageOf(specifier)] ?? []).includes(file))
        .map((specifier) => `imports ${specifier}`),
    );
    expect(found).toEqual([]);
  });
});

describe('purity', () => {
  test('ledger/ and consensus/core/ have no Node, no clock, no randomness, no I/O', () => {
    const pure = [...sources('ledger'), ...sources('consensus/core')];
    const found = faults(pure, ({ code, imports }) => {
      const impure = IMPURE.exec(code.replace(/\bFloat64Array|ArrayBuffer\b/g, ''));
      return [
        ...imports.filter((specifier) => specifier.startsWith('node:')),
        ...(impure === null ? [] : [impure[0]]),
      ];
    });
    expect(found).toEqual([]);
  });

  test('the environment is read in server/config.ts only, the clock in server/clock.ts', () => {
    const found = faults(PRODUCT, ({ file, code }) => [
      ...(/process\.env/.test(code) && file !== 'server/config.ts' ? ['process.env'] : []),
      ...(/Date\.now/.test(code) && file !== 'server/clock.ts' ? ['Date.now'] : []),
    ]);
    expect(found).toEqual([]);
  });

  test('nobody asks for the class of another realm’s error', () => {
    const found = faults(PRODUCT, ({ code }) =>
      /instanceof (Error|SqlError|StorageError|FormatError|AssertionError|SqliteError)\b/.test(code)
        ? ['instanceof on an error']
        : [],
    );
    expect(found).toEqual([]);
  });
});

describe('files', () => {
  test('open with a comment that says what they are for', () => {
    const found = faults(PRODUCT, ({ text }) =>
      /^(#!.*\n)?(\/\/ \S|\/\*\*? )/.test(text) ? [] : ['opens without a comment'],
    );
    expect(found).toEqual([]);
  });

  test('can be read in one go', () => {
    const found = faults([...PRODUCT, ...OTHERS], ({ file, text }) => {
      const lines = text.split('\n');
      // Tests hold texts of others: statements, answers, vectors.
      const columnsMax = file.startsWith('tests/') ? Infinity : COLUMNS_MAX;
      const long = lines.findIndex((line) => line.length > columnsMax);
      return [
        ...(lines.length > LINES_MAX ? [`${lines.length} lines`] : []),
        ...(long === -1 ? [] : [`line ${long + 1} has ${lines[long]!.length} columns`]),
      ];
    });
    expect(found).toEqual([]);
  });

  test('have names that say what is inside', () => {
    const vague = /(^|\/)(utils?|helpers?|common|misc|types|index)(\.test)?\.ts$/;
    const found = faults([...PRODUCT, ...OTHERS], ({ file }) => [
      ...(vague.test(file) ? ['a name that says nothing'] : []),
      ...(/^[a-z0-9/.-]+$/.test(file) ? [] : ['not kebab-case']),
    ]);
    expect(found).toEqual([]);
  });

  test('leave nothing for later', () => {
    const later = /\b(TODO|FIXME)\b/;
    const found = faults([...PRODUCT, ...OTHERS], ({ file, text }) =>
      file.endsWith('tidy.test.ts') ? [] : (later.exec(text)?.slice(0, 1) ?? []),
    );
    expect(found).toEqual([]);
  });

  test('are all used', () => {
    const used = new Set(
      [...PRODUCT, ...OTHERS].flatMap((source) =>
        source.imports.filter((to) => to.startsWith('.')).map((to) => target(source, to)),
      ),
    );
    const entries = new Set(['cli/main.ts']);
    const found = PRODUCT.map(({ file }) => file).filter(
      // Types of a package that has none are found by the compiler.
      (file) => !used.has(file) && !entries.has(file) && !file.endsWith('.d.ts'),
    );
    expect(found).toEqual([]);
  });
});

test('every SQLSTATE we can raise is in docs/errors.md, and nothing else', () => {
  const text = readFileSync(path.join(ROOT, 'docs/errors.md'), 'utf8');
  const documented = [...text.matchAll(/^\| `([0-9A-Z]{5})` \| `?([A-Za-z]+)`? \|/gm)].map(
    (match) => [match[2]!, match[1]!],
  );
  expect(Object.fromEntries(documented)).toEqual({ ...SQLSTATE });
});
