// A small chain, the same for every test: genesis, a table, three inserted rows, an update, empty blocks.
// Everything is derived from fixed seeds; row versions and receipts are what an executor would give.

import type { Block, Executed, Genesis, Header } from '../../../ledger/block.ts';
import { FORMAT_VERSION } from '../../../ledger/block.ts';
import { utf8 } from '../../../ledger/bytes.ts';
import type { Role, Table } from '../../../ledger/catalog.ts';
import type { Crypto } from '../../../ledger/crypto.ts';
import {
  encodeBody,
  encodeGenesis,
  encodeHeader,
  encodeReceipt,
  encodeRowVersion,
  encodeTransaction,
  transactionIdOf,
} from '../../../ledger/encoding.ts';
import { encodeCertificate } from '../../../ledger/encoding-vote.ts';
import { genesisHeader } from '../../../ledger/genesis.ts';
import {
  bodyHash,
  chainIdOf,
  headerHash,
  partCommitment,
  receiptHash,
  rowVersionHash,
} from '../../../ledger/hash.ts';
import { HistoryTree, nodesOf } from '../../../ledger/history-tree.ts';
import { merkleRoot } from '../../../ledger/merkle.ts';
import type { Operation } from '../../../ledger/operation.ts';
import { stampOf } from '../../../ledger/operation.ts';
import type { RowProof } from '../../../ledger/proof.ts';
import { proveRow, proveTransaction } from '../../../ledger/proof.ts';
import { signBundle, signHeader } from '../../../ledger/signing.ts';
import type { Bundle, Receipt, RowVersion } from '../../../ledger/transaction.ts';
import { sqlType } from '../../../ledger/type.ts';

export const NODE_SEED = new Uint8Array(32).fill(1);
export const ADMIN_SEED = new Uint8Array(32).fill(2);
export const ALICE_SEED = new Uint8Array(32).fill(3);

const ADMIN = 10;
const ALICE = 100;
const ACCOUNTS = 101;
const TIME_MS = 1_760_000_000_000;

function role(crypto: Crypto, id: number, name: string, seed: Uint8Array): Role {
  return {
    id,
    name,
    superuser: id === ADMIN,
    login: true,
    inherit: true,
    createRole: id === ADMIN,
    createDatabase: id === ADMIN,
    connectionLimit: -1,
    validUntil: null,
    memberOf: [],
    publicKey: crypto.publicKeyOf(seed),
    custody: id === ADMIN ? 'hosted' : 'own',
    verifierCommitment: null,
  };
}

function column(id: number, name: string, type: Table['columns'][number]['type']) {
  const rest = { identity: null, defaultText: null, generated: null, missing: null, grants: [] };
  return { id, name, type, notNull: id < 3, ...rest };
}

export const accounts: Table = {
  kind: 'table',
  id: ACCOUNTS,
  schema: 20,
  name: 'accounts',
  owner: ADMIN,
  schemaVersion: 1,
  columns: [
    column(1, 'id', sqlType('int8')),
    column(2, 'owner', sqlType('text')),
    column(3, 'balance', sqlType('numeric', ((12 << 16) | 2) + 4)),
  ],
  indexes: [
    {
      id: 102,
      name: 'accounts_pkey',
      unique: true,
      nullsNotDistinct: false,
      primary: true,
      constraint: true,
      keys: [
        {
          column: 1,
          expression: null,
          type: sqlType('int8'),
          descending: false,
          nullsFirst: false,
        },
      ],
      predicate: null,
    },
  ],
  checks: [
    {
      id: 103,
      name: 'accounts_balance_check',
      expression: {
        kind: 'call',
        type: sqlType('bool'),
        name: 'numeric_ge',
        args: [
          { kind: 'column', type: sqlType('numeric', ((12 << 16) | 2) + 4), column: 3 },
          { kind: 'const', type: sqlType('numeric'), value: new Uint8Array([0x80, 0]) },
        ],
      },
    },
  ],
  foreignKeys: [],
  appendOnly: false,
  shard: 0,
  spread: null,
  grants: [{ grantee: ALICE, grantor: ADMIN, privileges: 'arw', grantable: '' }],
};

export interface Chain {
  readonly genesis: Genesis;
  readonly genesisBytes: Uint8Array;
  readonly chainId: Uint8Array;
  readonly genesisCertificate: Block['certificate'];
  /** By height; block 0 has no bundles. */
  readonly blocks: readonly Block[];
  readonly hashes: readonly Uint8Array[];
  /** Encoded receipts and row versions, by height and position. */
  readonly receipts: readonly (readonly Uint8Array[])[];
  readonly versions: readonly (readonly (readonly Uint8Array[])[])[];
  /** Over all headers. */
  readonly history: HistoryTree;
}

interface Entry {
  readonly operations: readonly Operation[];
  readonly text: string;
  readonly rows: readonly Pick<RowVersion, 'rowId' | 'columns' | 'values'>[];
}

/** Bundles of the blocks after genesis: author, seed and transactions of each. */
function plan(crypto: Crypto): { author: number; seed: Uint8Array; entries: Entry[] }[][] {
  const create: Entry = {
    operations: [
      {
        kind: 'catalog',
        base: 1,
        changes: [
          { put: 'role', object: role(crypto, ALICE, 'alice', ALICE_SEED) },
          { put: 'relation', object: accounts },
        ],
        role: 'admin',
        searchPath: 'public',
        text: 'CREATE TABLE accounts (…)',
      },
    ],
    text: 'create table accounts (…)',
    rows: [],
  };
  const insert = (id: bigint, owner: string, balance: bigint): Entry => ({
    operations: [
      {
        kind: 'insert',
        relation: ACCOUNTS,
        schemaVersion: 1,
        columns: [1, 2, 3],
        rows: [[id, owner, balance]],
        conflict: null,
      },
    ],
    text: `insert into accounts values (${id}, '${owner}', ${balance})`,
    rows: [{ rowId: id, columns: [1, 2, 3], values: [id, owner, balance] }],
  });
  const pay: Entry = {
    operations: [
      {
        kind: 'update',
        relation: ACCOUNTS,
        schemaVersion: 1,
        columns: [3],
        rows: [
          { rowId: 1n, version: stampOf(2, 0), values: [9_000n] },
          { rowId: 2n, version: stampOf(2, 1), values: [3_500n] },
        ],
      },
    ],
    text: 'update accounts …',
    rows: [
      { rowId: 1n, columns: [1, 2, 3], values: [1n, 'ann', 9_000n] },
      { rowId: 2n, columns: [1, 2, 3], values: [2n, 'bob', 3_500n] },
    ],
  };
  const alice = { author: ALICE, seed: ALICE_SEED };
  const admin = { author: ADMIN, seed: ADMIN_SEED };
  return [
    [{ ...admin, entries: [create] }],
    [
      { ...alice, entries: [insert(1n, 'ann', 10_000n), insert(2n, 'bob', 2_500n)] },
      { ...admin, entries: [insert(3n, 'eve', 0n)] },
    ],
    [{ ...alice, entries: [pay] }],
    [],
    [],
  ];
}

/** Makes transactions, receipts and row versions of one block. */
function execute(
  crypto: Crypto,
  chainId: Uint8Array,
  height: number,
  planned: ReturnType<typeof plan>[number],
) {
  const bundles: Bundle[] = [];
  const receipts: Uint8Array[] = [];
  const versions: Uint8Array[][] = [];
  for (const { author, seed, entries } of planned) {
    const transactions = entries.map(({ operations, text, rows }) => {
      const position = receipts.length;
      const part = { salt: new Uint8Array(16).fill(height * 16 + position), value: utf8(text) };
      const { id, bytes } = encodeTransaction(crypto, {
        chainId,
        author,
        idempotencyKey: new Uint8Array(16).fill(position),
        validUntilMs: TIME_MS + height * 1_000 + 60_000,
        operations,
        text: part,
        textCommitment: partCommitment(crypto, part.salt, part.value),
      });
      const common = { relation: ACCOUNTS, schemaVersion: 1, deleted: false };
      const stamp = stampOf(height, position);
      const written = rows.map((row) => encodeRowVersion({ ...common, stamp, ...row }));
      const receipt: Receipt = {
        transactionId: id,
        abort: null,
        counts: [
          { inserted: rows.length === 1 ? 1 : 0, updated: rows.length === 2 ? 2 : 0, deleted: 0 },
        ],
        versionsRoot: merkleRoot(
          crypto,
          written.map((bytes) => rowVersionHash(crypto, bytes)),
        ),
        versionCount: written.length,
      };
      receipts.push(encodeReceipt(receipt));
      versions.push(written);
      return bytes;
    });
    const root = merkleRoot(
      crypto,
      transactions.map((bytes) => transactionIdOf(crypto, bytes)),
    );
    const publicKey = crypto.publicKeyOf(seed);
    const count = transactions.length;
    const signature = signBundle(crypto, seed, chainId, publicKey, count, root);
    bundles.push({ author, publicKey, signature, transactions });
  }
  return { bundles, receipts, versions };
}

export function certify(crypto: Crypto, header: Header): Block['certificate'] {
  const hash = headerHash(crypto, encodeHeader(header));
  const signature = signHeader(crypto, NODE_SEED, header.chainId, hash);
  return { kind: 'proposer', signature };
}

export function makeChain(crypto: Crypto): Chain {
  const node = crypto.publicKeyOf(NODE_SEED);
  const genesis: Genesis = {
    version: FORMAT_VERSION,
    database: 'ledger',
    createdMs: TIME_MS,
    nonce: new Uint8Array(32).fill(9),
    nodes: [{ publicKey: node, address: '' }],
    consensus: 'solo',
    stateShards: 1,
    catalog: [
      { put: 'role', object: role(crypto, ADMIN, 'admin', ADMIN_SEED) },
      { put: 'schema', object: { id: 20, name: 'public', owner: ADMIN, grants: [] } },
    ],
  };
  const genesisBytes = encodeGenesis(genesis);
  const chainId = chainIdOf(crypto, genesisBytes);
  const first = genesisHeader(crypto, genesis, genesisBytes, node);
  const genesisCertificate = certify(crypto, first);
  const blocks: Block[] = [
    { header: first, bundles: [], system: [], certificate: genesisCertificate },
  ];
  const hashes = [headerHash(crypto, encodeHeader(first))];
  const receipts: (readonly Uint8Array[])[] = [[]];
  const versions: (readonly (readonly Uint8Array[])[])[] = [[]];
  const history = new HistoryTree(crypto);
  history.append(hashes[0]!);
  let executed: Executed = first.executed;
  for (const planned of plan(crypto)) {
    const height = blocks.length;
    const results = execute(crypto, chainId, height, planned);
    const ids = results.bundles.flatMap(({ transactions }) =>
      transactions.map((bytes) => transactionIdOf(crypto, bytes)),
    );
    const header: Header = {
      version: FORMAT_VERSION,
      chainId,
      height,
      parent: hashes[height - 1]!,
      timeMs: TIME_MS + height * 1_000,
      transactionsRoot: merkleRoot(crypto, ids),
      transactionCount: ids.length,
      bodyHash: bodyHash(crypto, encodeBody({ bundles: results.bundles, system: [] })),
      executed,
      historyRoot: history.root(),
      proposer: node,
      epoch: 0,
      term: 0,
      mode: 'raft',
      newTermHash: new Uint8Array(32),
    };
    blocks.push({
      header,
      bundles: results.bundles,
      system: [],
      certificate: certify(crypto, header),
    });
    hashes.push(headerHash(crypto, encodeHeader(header)));
    history.append(hashes[height]!);
    receipts.push(results.receipts);
    versions.push(results.versions);
    const leaves = results.receipts.map((bytes) => receiptHash(crypto, bytes));
    executed = { height, receiptsRoot: merkleRoot(crypto, leaves) };
  }
  return {
    genesis,
    genesisBytes,
    chainId,
    genesisCertificate,
    blocks,
    hashes,
    receipts,
    versions,
    history,
  };
}

/** The proof that the update of block 3 left row 2 with its new balance. */
export function makeProof(
  crypto: Crypto,
  chain: Chain,
  checkpointSize: number | null = null,
): RowProof {
  const prove = (height: number, position: number) =>
    proveTransaction(crypto, chain.blocks[height]!, position, chain.receipts[height]!, height + 1);
  const versions = chain.versions[3]![0]!;
  const definition = { kind: 'transaction', proof: prove(1, 0) } as const;
  const anchorHeight = chain.blocks.length - 1;
  return proveRow(crypto, {
    row: versions[1]!,
    versionHashes: versions.map((bytes) => rowVersionHash(crypto, bytes)),
    versionIndex: 1,
    transaction: prove(3, 0),
    table: definition,
    author: definition,
    headerAt: (height) => encodeHeader(chain.blocks[height]!.header),
    anchorHeight,
    certificate: encodeCertificate(chain.blocks[anchorHeight]!.certificate),
    epochs: { genesis: chain.genesisBytes, barriers: [] },
    nodeAt: nodesOf(crypto, (height) => chain.hashes[height]!),
    checkpointSize,
  });
}
