// A small ledger for the tests of storage: makes blocks as a solo node would, without a node.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { createLedger } from '../../../storage/create-ledger.ts';
import { ChainWriter } from '../../../storage/chain-writer.ts';
import { encodeBody } from '../../../ledger/encoding.ts';
import { encodeCertificate } from '../../../ledger/encoding-vote.ts';
import { encodeHeader, encodeTransaction, transactionIdOf } from '../../../ledger/encoding.ts';
import { FORMAT_VERSION } from '../../../ledger/block.ts';
import { ID } from '../../../ledger/catalog.ts';
import { bodyHash, headerHash, partCommitment } from '../../../ledger/hash.ts';
import { merkleRoot } from '../../../ledger/merkle.ts';
import { signBundle, signHeader } from '../../../ledger/signing.ts';
import { sqlType } from '../../../ledger/type.ts';
import type { WriterOptions } from '../../../storage/chain-writer.ts';
import type { StoredBlock } from '../../../storage/block-store.ts';
import type { CatalogChange, Column, Index, Role, Table } from '../../../ledger/catalog.ts';
import type { Genesis } from '../../../ledger/block.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { SystemRecord } from '../../../ledger/system.ts';
import type { Bundle, Receipt } from '../../../ledger/transaction.ts';
import type { SqlType } from '../../../ledger/type.ts';

export const crypto = nativeCrypto;
export const NODE_SEED = new Uint8Array(32).fill(1);
export const ADMIN_SEED = new Uint8Array(32).fill(2);
export const USER_SEED = new Uint8Array(32).fill(3);
export const USER = 100;
export const START_MS = 1_760_000_000_000;

export const INT4 = sqlType('int4');
export const TEXT = sqlType('text');

export function role(id: number, name: string, superuser: boolean, seed: Uint8Array): Role {
  return {
    id,
    name,
    superuser,
    login: true,
    inherit: true,
    createRole: superuser,
    createDatabase: superuser,
    connectionLimit: -1,
    validUntil: null,
    memberOf: [],
    publicKey: crypto.publicKeyOf(seed),
    custody: 'hosted',
    verifierCommitment: null,
  };
}

export function column(
  id: number,
  name: string,
  type: SqlType,
  more: Partial<Column> = {},
): Column {
  return {
    id,
    name,
    type,
    notNull: false,
    identity: null,
    defaultText: null,
    generated: null,
    missing: null,
    grants: [],
    ...more,
  };
}

export function index(
  id: number,
  name: string,
  keys: readonly [number, SqlType][],
  more: Partial<Index> = {},
): Index {
  return {
    id,
    name,
    unique: true,
    nullsNotDistinct: false,
    primary: false,
    constraint: true,
    predicate: null,
    keys: keys.map(([id, type]) => ({
      column: id,
      expression: null,
      type,
      descending: false,
      nullsFirst: false,
    })),
    ...more,
  };
}

export function table(
  id: number,
  name: string,
  columns: readonly Column[],
  indexes: readonly Index[],
  more: Partial<Table> = {},
): Table {
  return {
    kind: 'table',
    id,
    schema: ID.publicSchema,
    name,
    owner: ID.adminRole,
    schemaVersion: 1,
    columns,
    indexes,
    checks: [],
    foreignKeys: [],
    appendOnly: false,
    shard: 0,
    spread: null,
    grants: [],
    ...more,
  };
}

export function genesis(changes: readonly CatalogChange[] = [], stateShards = 1): Genesis {
  return {
    version: FORMAT_VERSION,
    database: 'ledger',
    createdMs: START_MS,
    nonce: new Uint8Array(32).fill(7),
    nodes: [{ publicKey: crypto.publicKeyOf(NODE_SEED), address: '' }],
    consensus: 'solo',
    stateShards,
    catalog: [
      { put: 'role', object: role(ID.adminRole, 'admin', true, ADMIN_SEED) },
      {
        put: 'schema',
        object: { id: ID.publicSchema, name: 'public', owner: ID.adminRole, grants: [] },
      },
      { put: 'role', object: role(USER, 'bob', false, USER_SEED) },
      ...changes,
    ],
  };
}

/** How `propose` may differ from the ordinary. */
export interface TransactionOptions {
  readonly author?: number;
  readonly seed?: Uint8Array;
  readonly key?: Uint8Array;
  readonly validUntilMs?: number;
  readonly chainId?: Uint8Array;
}

export class TestLedger {
  readonly directory: string;
  writer: ChainWriter;
  timeMs = START_MS;
  #keys = 0;

  /** Makes a ledger; without a genesis record, opens the one in `directory`. */
  constructor(
    genesisRecord: Genesis | null,
    options: Partial<WriterOptions> = {},
    directory: string = mkdtempSync(join(tmpdir(), 'trustsql-storage-')),
  ) {
    this.directory = directory;
    if (genesisRecord !== null) createLedger(directory, genesisRecord, crypto, NODE_SEED);
    this.writer = this.#open(options);
  }

  #open(options: Partial<WriterOptions>): ChainWriter {
    return ChainWriter.open(this.directory, { crypto, ...options });
  }

  reopen(options: Partial<WriterOptions> = {}): void {
    this.writer.close();
    this.writer = this.#open(options);
  }

  /** A bundle of one transaction for each list of operations. */
  bundle(
    transactions: readonly (readonly Operation[])[],
    options: TransactionOptions = {},
  ): Bundle {
    const { author = ID.adminRole, seed = ADMIN_SEED } = options;
    const chainId = this.writer.data.chainId;
    const encoded = transactions.map((operations) => {
      const salt = new Uint8Array(16);
      const value = new TextEncoder().encode('test');
      const idempotencyKey = new Uint8Array(16);
      const view = new DataView(idempotencyKey.buffer);
      view.setUint32(0, ++this.#keys);
      view.setUint32(4, this.writer.tip.height);
      return encodeTransaction(crypto, {
        chainId: options.chainId ?? chainId,
        author,
        idempotencyKey: options.key ?? idempotencyKey,
        validUntilMs: options.validUntilMs ?? this.timeMs + 60_000,
        operations,
        text: { salt, value },
        textCommitment: partCommitment(crypto, salt, value),
      });
    });
    const publicKey = crypto.publicKeyOf(seed);
    const root = merkleRoot(
      crypto,
      encoded.map(({ id }) => id),
    );
    return {
      author,
      publicKey,
      signature: signBundle(crypto, seed, chainId, publicKey, encoded.length, root),
      transactions: encoded.map(({ bytes }) => bytes),
    };
  }

  block(bundles: readonly Bundle[], system: readonly SystemRecord[] = []): StoredBlock {
    const { tip, data } = this.writer;
    const body = encodeBody({ bundles, system });
    const ids = bundles.flatMap(({ transactions }) => transactions.map((bytes) => idOf(bytes)));
    this.timeMs += 1_000;
    const header = encodeHeader({
      version: FORMAT_VERSION,
      chainId: data.chainId,
      height: tip.height + 1,
      parent: tip.hash,
      timeMs: this.timeMs,
      transactionsRoot: merkleRoot(crypto, ids),
      transactionCount: ids.length,
      bodyHash: bodyHash(crypto, body),
      executed: tip.uncovered[0] ?? tip.covered,
      historyRoot: this.writer.history.root(),
      proposer: crypto.publicKeyOf(NODE_SEED),
      epoch: 0,
      term: 0,
      mode: 'raft',
      newTermHash: new Uint8Array(32),
    });
    const hash = headerHash(crypto, header);
    const signature = signHeader(crypto, NODE_SEED, data.chainId, hash);
    const certificate = encodeCertificate({ kind: 'proposer', signature });
    return { height: tip.height + 1, header, body, certificate };
  }

  append(bundles: readonly Bundle[]): Receipt[] {
    return this.writer.append(this.block(bundles)).receipts.map(({ receipt }) => receipt);
  }

  /** One block with one transaction. */
  run(operations: readonly Operation[], options: TransactionOptions = {}): Receipt {
    return this.append([this.bundle([operations], options)])[0]!;
  }

  /** Runs catalog changes. */
  change(...changes: CatalogChange[]): Receipt {
    return this.run([this.catalog(...changes)]);
  }

  catalog(...changes: CatalogChange[]): Operation {
    const base = this.writer.catalog.version;
    return { kind: 'catalog', base, changes, role: 'admin', searchPath: 'public', text: 'ddl' };
  }

  destroy(): void {
    this.writer.close();
    rmSync(this.directory, { recursive: true });
  }
}

function idOf(bytes: Uint8Array): Uint8Array {
  return transactionIdOf(crypto, bytes);
}
