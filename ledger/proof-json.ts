// Proof bundles as JSON text: byte strings in base64, numbers as numbers. Pure, browser-safe.
//
// (1) `parseProof` gives a value of the exact shape or throws FormatError: unknown or missing members,
//     wrong types and other versions are refused.

import { base64, tryFromBase64 } from './bytes.ts';
import type { Barrier, EpochsProof } from './epoch-check.ts';
import { FormatError } from './error.ts';
import { LIMITS } from './limits.ts';
import type {
  DefinitionProof,
  HeaderProof,
  LeafPath,
  RowProof,
  TransactionProof,
} from './proof.ts';

/** Says what the file is to whoever opens it. */
const FORMAT = 'trustsql-row-proof';
const VERSION = 3;

/** Reads one JSON value; `at` names it in errors. */
type Read<T> = (value: unknown, at: string) => T;

function fault(at: string, expected: string): FormatError {
  return new FormatError(`proof: ${at || 'bundle'}: ${expected} expected`);
}

const readBytes: Read<Uint8Array> = (value, at) => {
  const bytes = typeof value === 'string' ? tryFromBase64(value) : null;
  if (bytes === null) throw fault(at, 'base64');
  return bytes;
};

const readUint: Read<number> = (value, at) => {
  if (
    typeof value !== 'number' ||
    !Number.isSafeInteger(value) ||
    value < 0 ||
    Object.is(value, -0)
  ) {
    throw fault(at, 'non-negative integer');
  }
  return value;
};

function readConstant<T extends string | number>(constant: T): Read<T> {
  return (value, at) => {
    if (value !== constant) throw fault(at, JSON.stringify(constant));
    return constant;
  };
}

function readNullable<T>(read: Read<T>): Read<T | null> {
  return (value, at) => (value === null ? null : read(value, at));
}

function readList<T>(read: Read<T>): Read<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw fault(at, 'array');
    return value.map((entry, place) => read(entry, `${at}[${place}]`));
  };
}

function readObject<T extends object>(fields: { readonly [K in keyof T]-?: Read<T[K]> }): Read<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw fault(at, 'object');
    }
    const given = value as Readonly<Record<string, unknown>>;
    const unknown = Object.keys(given).find((name) => !Object.hasOwn(fields, name));
    if (unknown !== undefined) throw fault(`${at}.${unknown}`, 'no such member');
    const entries = names.map((name) => [name, fields[name](given[name], `${at}.${name}`)]);
    return Object.fromEntries(entries) as T;
  };
}

const readHashes = readList(readBytes);

const readPath = readObject<LeafPath>({ index: readUint, count: readUint, siblings: readHashes });

const readTransaction = readObject<TransactionProof>({
  height: readUint,
  transaction: readBytes,
  inBlock: readPath,
  publicKey: readBytes,
  signature: readBytes,
  inBundle: readPath,
  receipt: readBytes,
  receiptSiblings: readHashes,
  executedIn: readUint,
});

const readFromTransaction = readObject<Extract<DefinitionProof, { kind: 'transaction' }>>({
  kind: readConstant('transaction'),
  proof: readTransaction,
});

const readFromGenesis = readObject<Extract<DefinitionProof, { kind: 'genesis' }>>({
  kind: readConstant('genesis'),
  record: readBytes,
});

const readDefinition: Read<DefinitionProof> = (value, at) => {
  const genesis =
    typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'genesis';
  return genesis ? readFromGenesis(value, at) : readFromTransaction(value, at);
};

const readEpochs = readObject<EpochsProof>({
  genesis: readBytes,
  barriers: readList(
    readObject<Barrier>({ header: readBytes, body: readBytes, certificate: readBytes }),
  ),
});

const readBundle = readObject<RowProof & { format: typeof FORMAT; version: typeof VERSION }>({
  format: readConstant(FORMAT),
  version: readConstant(VERSION),
  row: readBytes,
  inReceipt: readPath,
  transaction: readTransaction,
  table: readNullable(readDefinition),
  author: readNullable(readDefinition),
  headers: readList(readObject<HeaderProof>({ header: readBytes, siblings: readHashes })),
  anchor: readObject<RowProof['anchor']>({ header: readBytes, certificate: readBytes }),
  epochs: readNullable(readEpochs),
  consistency: readNullable(
    readObject<NonNullable<RowProof['consistency']>>({ size: readUint, hashes: readHashes }),
  ),
});

/** @throws FormatError unless `text` is a proof bundle; nothing is proven by that */
export function parseProof(text: string): RowProof {
  if (text.length > LIMITS.proofJsonCharactersMax) throw new FormatError('proof is too long');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FormatError('proof is not JSON');
  }
  const { format: _format, version: _version, ...proof } = readBundle(value, '');
  return proof;
}

/** Not a replacer of JSON.stringify: that would see a Buffer only after its own toJSON. */
function toJson(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return base64(value as Uint8Array);
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, toJson(entry)]));
}

/** Indented, for people who look inside. */
export function formatProof(proof: RowProof): string {
  const bundle = toJson({ format: FORMAT, version: VERSION, ...proof });
  return `${JSON.stringify(bundle, null, 2)}\n`;
}
