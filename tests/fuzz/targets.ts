// All decoders that take what others have made, each with inputs that it accepts. Shell only in that it reads vectors.
//
// A decoder may refuse, by an error that has a name here. Whatever it takes must come out the same again where bytes are
// canonical.

import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { serialize } from 'pg-protocol';
import * as codec from '../../consensus/core/codec.ts';
import { deriveVerifier } from '../../identity/password.ts';
import { concat, equal, fromHex, utf8 } from '../../ledger/bytes.ts';
import { parseCheckpoint } from '../../ledger/checkpoint.ts';
import * as ledger from '../../ledger/encoding.ts';
import * as repair from '../../ledger/encoding-repair.ts';
import * as votes from '../../ledger/encoding-vote.ts';
import { genesisConfig } from '../../ledger/epoch.ts';
import { isFormatError, isSqlError, isStorageError } from '../../ledger/error.ts';
import { checkProof } from '../../ledger/proof-check.ts';
import { parseProof } from '../../ledger/proof-json.ts';
import type { SqlType } from '../../ledger/type.ts';
import { decodeManifest, encodeManifest } from '../../server/backup/manifest.ts';
import { formatPart, parsePart, roleOfOrganisation } from '../../server/founding/part.ts';
import { isSettingError } from '../../server/governance/rule-settings.ts';
import { formatChange, parseChange } from '../../server/governance/change.ts';
import { encodeFrame } from '../../server/peers/frame.ts';
import { decodeHello, encodeHello } from '../../server/peers/handshake.ts';
import { Inbox } from '../../server/peers/inbox.ts';
import { isPeerRefusal } from '../../server/peers/refusal.ts';
import { decode } from '../../server/pgwire/decode.ts';
import { Framer } from '../../server/pgwire/framer.ts';
import type { FramerPhase } from '../../server/pgwire/framer.ts';
import { SCRAM_SHA_256, ScramExchange } from '../../server/pgwire/scram.ts';
import type { ScramSetup } from '../../server/pgwire/scram.ts';
import { decodeStartUp } from '../../server/pgwire/startup.ts';
import { parseTree } from '../../sql/node-tree-text.ts';
import { templateOf, tryLiterals } from '../../sql/normalise.ts';
import { parseStatements } from '../../sql/parse.ts';
import { fromBinary, toBinary } from '../../sql/value/binary.ts';
import { DEFAULT_CONTEXT } from '../../sql/value/context.ts';
import { formatText, parseText } from '../../sql/value/text.ts';
import { nativeCrypto } from '../../storage/native-crypto.ts';
import { messagesOfSchedules } from '../simulation/messages.ts';
import { rowsIn } from '../unit/sql/copy/copy-fixture.ts';
import { typeOfName } from '../unit/sql/value/type-name.ts';

export interface Target {
  readonly name: string;
  /** Inputs that are taken. */
  readonly seeds: readonly Uint8Array[];
  /** @throws what `isRefusal` knows */
  readonly take: (input: Uint8Array) => void;
}

/** Whether a decoder said no, as it may. Trees are our own analyst's: what is none is a fault of ours, and named. */
export function isRefusal(error: unknown): boolean {
  const isKnown = [isFormatError, isSqlError, isStorageError, isPeerRefusal, isSettingError];
  const isNoTree =
    Error.isError(error) &&
    error.name === 'AssertionError' &&
    error.message.startsWith('node tree: ');
  return isNoTree || isKnown.some((is) => is(error));
}

const VECTORS = new URL('../vectors/', import.meta.url);

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, VECTORS), 'utf8')) as T;
}

const formats = read<Record<string, string>>('formats.json');
const vector = (name: string): Uint8Array => fromHex(formats[name]!);

const lenient = new TextDecoder();
const text = (input: Uint8Array): string => lenient.decode(input);

/** What is decoded encodes to the very bytes it came from. */
function canonical<T>(
  name: string,
  seeds: readonly Uint8Array[],
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
): Target {
  return {
    name,
    seeds,
    take: (input) => {
      if (!equal(encode(decode(input)), input))
        throw new Error('decoded, but not to the same bytes');
    },
  };
}

function ledgerTargets(): Target[] {
  const genesis = ledger.decodeGenesis(vector('genesis'));
  const { operations } = ledger.decodeTransaction(vector('transaction'));
  const bundle = ledger.decodeBundle(vector('bundle'));
  const take = (decode: (bytes: Uint8Array) => unknown) => (input: Uint8Array) =>
    void decode(input);
  const vote = votes.decodeVote(vector('vote'));
  const answers: repair.PeerAnswer[] = [
    { kind: 'nothing' },
    {
      kind: 'block',
      header: vector('header'),
      body: vector('bundle'),
      certificate: vector('certificate'),
    },
    {
      kind: 'receipts',
      receipts: [{ receipt: vector('receipt'), leaves: vector('row version hash') }],
    },
    { kind: 'versions', versions: [{ version: vector('row version'), closed: 65_536n }] },
  ];
  return [
    canonical('genesis', [vector('genesis')], ledger.decodeGenesis, ledger.encodeGenesis),
    canonical(
      'catalog changes',
      [ledger.encodeChanges(genesis.catalog)],
      ledger.decodeChanges,
      ledger.encodeChanges,
    ),
    canonical(
      'operations',
      [vector('sequence operations'), ledger.encodeOperations(operations)],
      ledger.decodeOperations,
      ledger.encodeOperations,
    ),
    // The text may have been cut away, and what stands for it is part of no answer.
    { name: 'transaction', seeds: [vector('transaction')], take: take(ledger.decodeTransaction) },
    canonical('bundle', [vector('bundle')], ledger.decodeBundle, ledger.encodeBundle),
    canonical(
      'body',
      [ledger.encodeBody({ bundles: [bundle, bundle], system: [] })],
      ledger.decodeBody,
      ledger.encodeBody,
    ),
    canonical('header', [vector('header')], ledger.decodeHeader, ledger.encodeHeader),
    canonical('receipt', [vector('receipt')], ledger.decodeReceipt, ledger.encodeReceipt),
    canonical(
      'row version',
      [vector('row version')],
      ledger.decodeRowVersion,
      ledger.encodeRowVersion,
    ),
    canonical('vote', [votes.encodeVote(vote)], votes.decodeVote, votes.encodeVote),
    canonical(
      'certificate',
      [vector('certificate'), vector('vote certificate')],
      votes.decodeCertificate,
      votes.encodeCertificate,
    ),
    canonical(
      'repair question',
      [vector('repair question')],
      repair.decodeQuestion,
      repair.encodeQuestion,
    ),
    canonical(
      'repair answer',
      answers.map(repair.encodeAnswer),
      repair.decodeAnswer,
      repair.encodeAnswer,
    ),
  ];
}

function proofTargets(): Target[] {
  const proof = readFileSync(new URL('proof.json', VECTORS));
  const trust = { nodeKeys: [], chainId: vector('chain id') };
  return [
    {
      name: 'proof',
      seeds: [proof],
      take: (input) => void checkProof(nativeCrypto, parseProof(text(input)), trust),
    },
    {
      name: 'checkpoint',
      seeds: [utf8(formats['checkpoint']!)],
      take: (input) => void parseCheckpoint(text(input)),
    },
  ];
}

function consensusTargets(): Target[] {
  const samples = messagesOfSchedules();
  return [...samples].map(([kind, seeds]) =>
    canonical(`message ${kind}`, seeds, codec.decodeMessage, codec.encodeMessage),
  );
}

function peerTargets(): Target[] {
  const key = new Uint8Array(32).fill(5);
  const hello = encodeHello({ chainId: key, publicKey: key, instance: key.subarray(0, 16) });
  const frame = encodeFrame(
    { kind: 'message', lane: 'vote', sequence: 0, length: 5 },
    utf8('bytes'),
  );
  const answer = encodeFrame(
    { kind: 'answer', lane: 'sync', sequence: 0, length: 9 },
    concat(new Uint8Array(5), utf8('here')),
  );
  return [
    { name: 'peer hello', seeds: [hello], take: (input) => void decodeHello(input) },
    {
      name: 'peer frame',
      seeds: [frame, answer],
      take: (input) => void new Inbox(() => true).receive(input),
    },
  ];
}

function wireTargets(): Target[] {
  const messages = [
    serialize.parse({ name: 'a', text: 'SELECT $1', types: [23, 0] }),
    serialize.bind({ portal: 'p', statement: 'a', values: ['1', null, Buffer.of(0, 1)] }),
    serialize.describe({ type: 'P', name: 'p' }),
    serialize.execute({ portal: 'p', rows: 10 }),
    serialize.close({ type: 'S', name: 'a' }),
    serialize.sync(),
    serialize.query('SELECT 1; SELECT 2'),
    serialize.copyData(Buffer.from('1\tx\n')),
    serialize.copyFail('no'),
  ];
  const startUp = serialize.startup({
    user: 'admin',
    database: 'ledger',
    options: '-c search_path=x',
  });
  const sasl = [
    serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', 'n,,n=,r=rOprNGfwEbeRWgbNEkqO'),
    serialize.sendSCRAMClientFinalMessage(
      'c=biws,r=rOprNGfwEbeRWgbNEkqO,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    ),
  ];
  return [
    {
      name: 'wire',
      seeds: [...messages, Buffer.concat(messages)],
      take: (input) => framed(input, 'query'),
    },
    { name: 'wire, logging in', seeds: sasl, take: (input) => framed(input, 'authentication') },
    { name: 'start-up packet', seeds: [startUp], take: (input) => framed(input, 'startUp') },
    {
      name: 'SCRAM',
      seeds: [`n,,n=user,r=${NONCE}`, `n,,n=user,r=${NONCE}\n${SCRAM_FINAL}`].map(utf8),
      take: (input) => {
        const exchange = new ScramExchange(scram);
        for (const line of text(input).split('\n').slice(0, 3)) exchange.step(line);
      },
    },
  ];
}

// The exchange of RFC 7677, section 3.
const NONCE = 'rOprNGfwEbeRWgbNEkqO';
const SERVER_NONCE = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const SCRAM_FINAL = `c=biws,r=${NONCE}${SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;
const scram: ScramSetup = {
  hashes: {
    sha256: (data) => createHash('sha256').update(data).digest(),
    hmac: (key, data) => createHmac('sha256', key).update(data).digest(),
  },
  verifier: deriveVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096),
  known: true,
  mechanism: SCRAM_SHA_256,
  endPoint: undefined,
  nonce: SERVER_NONCE,
  user: 'user',
};

/** Reads messages out of bytes that come in two pieces. */
function framed(input: Uint8Array, phase: FramerPhase): void {
  const framer = new Framer();
  framer.phase = phase;
  const split = input.length === 0 ? 0 : input[0]! % input.length;
  for (const piece of [input.subarray(0, split), input.subarray(split)]) {
    framer.push(Buffer.from(piece));
    for (let type = framer.next(); type !== 0; type = framer.next()) {
      if (phase === 'startUp') return void decodeStartUp(framer.buffer, framer.start, framer.end);
      // What comes in answer to a challenge is a text; see the target SCRAM.
      if (phase === 'query') decode(type, framer.buffer, framer.start, framer.end);
    }
  }
}

function fileTargets(): Target[] {
  const seed = new Uint8Array(32).fill(9);
  const name = 'north';
  const nodeKey = nativeCrypto.publicKeyOf(seed);
  const part = formatPart(nativeCrypto, seed, {
    name,
    nodeKey,
    address: 'north.example:5434',
    role: roleOfOrganisation(name),
    roleKey: nativeCrypto.publicKeyOf(new Uint8Array(32).fill(8)),
    verifierCommitment: new Uint8Array(32),
  });
  const sha256 = 'ab'.repeat(32);
  const manifest = encodeManifest({
    chainId: sha256,
    height: 3,
    headerHash: sha256,
    nodeKey: sha256,
    time: '2026-11-01T00:00:00.000Z',
    blocks: [{ name: 'blocks-000000000000.sqlite', bytes: 4096, sha256, from: 0, to: 3 }],
    secrets: [{ name: 'identity.sqlite', bytes: 1, sha256, path: 'identity.sqlite' }],
  });
  const rules = genesisConfig(ledger.decodeGenesis(vector('genesis')));
  const change = formatChange({
    chainId: vector('chain id'),
    epoch: 0,
    rules,
    approvals: [{ key: nodeKey, signature: new Uint8Array(64) }],
  });
  return [
    {
      name: 'part of a node',
      seeds: [utf8(part)],
      take: (input) => void parsePart(nativeCrypto, text(input), 'file'),
    },
    {
      name: 'change of rules',
      seeds: [utf8(change)],
      take: (input) => void parseChange(text(input)),
    },
    {
      name: 'list of a backup',
      seeds: [utf8(manifest)],
      take: (input) => void decodeManifest(text(input), 'file'),
    },
  ];
}

function valueTargets(): Target[] {
  interface Case {
    readonly input: string;
    readonly text?: string;
  }
  const texts = Map.groupBy(
    read<{ type: string; settings: object; cases: Case[] }[]>('values.json').flatMap(
      ({ type, settings, cases }) =>
        Object.keys(settings).length > 0 ? [] : cases.map((each) => ({ type, ...each })),
    ),
    ({ type }) => type,
  );
  const binaries = Map.groupBy(read<[string, string, string][]>('binary.json'), ([type]) => type);
  const ofText = [...texts].flatMap(([name, cases]): Target[] => {
    const type = typeOfName(name);
    const seeds = cases.flatMap((each) => (each.text === undefined ? [] : [utf8(each.input)]));
    return seeds.length === 0
      ? []
      : [{ name: `text of ${name}`, seeds, take: (input) => printed(text(input), type) }];
  });
  const ofBytes = [...binaries].map(([name, cases]): Target => {
    const type = typeOfName(name);
    const take = (input: Uint8Array): void => void toBinary(fromBinary(input, type), type);
    return { name: `bytes of ${name}`, seeds: cases.map(([, , bytes]) => fromHex(bytes)), take };
  });
  return [...ofText, ...ofBytes];
}

/** Reads a value; what it is printed as is read as the same. */
function printed(given: string, type: SqlType): void {
  const shown = formatText(parseText(given, type, DEFAULT_CONTEXT), type, DEFAULT_CONTEXT);
  const again = formatText(parseText(shown, type, DEFAULT_CONTEXT), type, DEFAULT_CONTEXT);
  if (again !== shown) throw new Error(`printed as ${shown}, which is read as ${again}`);
}

function copyTargets(): Target[] {
  const binary = concat(
    utf8('PGCOPY\n'),
    Uint8Array.of(0xff, 0x0d, 0x0a, 0),
    new Uint8Array(8),
    Uint8Array.of(0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 1, 0x78, 0xff, 0xff),
  );
  const take = (words: string) => (input: Uint8Array) => {
    rowsIn(input, words);
    rowsIn(input, words, undefined, 1 + ((input[0] ?? 0) % 5));
  };
  return [
    { name: 'COPY text', seeds: [utf8('1\ta\\tb\n2\t\\N\n\\.\n')], take: take('') },
    {
      name: 'COPY csv',
      seeds: [utf8('1,"a ""b"" c"\r\n2,\r\n'), utf8('3,x\n')],
      take: take('(format csv)'),
    },
    { name: 'COPY binary', seeds: [binary], take: take('(format binary)') },
  ];
}

const TREE = `({QUERY :commandType 1 :querySource 0 :canSetTag true :utilityStmt <> :rtable ({RANGETBLENTRY :alias <>
 :eref {ALIAS :aliasname t\\ x :colnames ("id" "a\\ b")} :rtekind 0 :relid 16400 :selectedCols (b 8 9) :lateral false})
 :targetList ({TARGETENTRY :expr {CONST :consttype 25 :constisnull false :constvalue 5 [ 20 0 0 0 97 ]} :resno 1})
 :limitCount <> :jointree {FROMEXPR :fromlist ({RANGETBLREF :rtindex 1 :list (i 1 2) :oids (o 23 25)}) :quals <>} })`;

function languageTargets(): Target[] {
  const queries = readFileSync(new URL('../corpus/client_queries.jsonl', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => utf8((JSON.parse(line) as { sql: string }).sql));
  return [
    { name: 'node tree', seeds: [utf8(TREE)], take: (input) => void parseTree(text(input)) },
    {
      name: 'statement',
      seeds: queries.filter(({ length }) => length < 2_000),
      take: (input) => {
        const literals = tryLiterals(text(input));
        if (literals === null) parseStatements(text(input));
        else templateOf(literals);
      },
    },
  ];
}

export function targets(): readonly Target[] {
  return [
    ...ledgerTargets(),
    ...proofTargets(),
    ...consensusTargets(),
    ...peerTargets(),
    ...wireTargets(),
    ...fileTargets(),
    ...valueTargets(),
    ...copyTargets(),
    ...languageTargets(),
  ];
}
