// The genesis record of a ledger, and what members of a cluster must know of it before they join. Pure.
//
// (1) Its catalog holds administrators and schema public, and nothing else: whoever joins can compare it.
// (2) The first node's administrator is the role that Postgres would be installed by, and owns schema public.

import type { Genesis } from '../../ledger/block.ts';
import { FORMAT_VERSION } from '../../ledger/block.ts';
import { equal, hex } from '../../ledger/bytes.ts';
import { ID } from '../../ledger/catalog.ts';
import type { CatalogChange, Role } from '../../ledger/catalog.ts';
import { encodeChanges } from '../../ledger/encoding.ts';
import type { Member } from '../../ledger/epoch.ts';
import { StorageError } from '../../ledger/error.ts';
import { faultsMax, quorums } from '../../ledger/quorum.ts';
import type { Quorums } from '../../ledger/quorum.ts';
import { ConfigError } from '../config.ts';
import type { Part } from './part.ts';

/** Name of the database of a new ledger, and of its administrator where one operator runs all nodes. */
export const DATABASE = 'ledger';
export const ADMIN = 'admin';

export const CLUSTER_CONSENSUS = ['raft', 'bft', 'adaptive'] as const;
export type ClusterConsensus = (typeof CLUSTER_CONSENSUS)[number];

/** A superuser of the first catalog. */
export interface Administrator {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly verifierCommitment: Uint8Array;
}

/** What a new ledger is made of. */
export interface Foundation {
  readonly database: string;
  readonly nodes: readonly Member[];
  readonly administrators: readonly Administrator[];
  readonly consensus: Genesis['consensus'];
  readonly stateShards: number;
  readonly createdMs: number;
  /** 32 random bytes. */
  readonly nonce: Uint8Array;
}

export function makeGenesis({ administrators, ...foundation }: Foundation): Genesis {
  return { version: FORMAT_VERSION, ...foundation, catalog: firstCatalog(administrators) };
}

/** The administrators, and the schema `public` with PostgreSQL 15's privileges: everybody may use, the owner create. */
function firstCatalog(administrators: readonly Administrator[]): CatalogChange[] {
  const roles = administrators.map((administrator, index): CatalogChange => {
    const id = index === 0 ? ID.adminRole : ID.firstFree + index - 1;
    return { put: 'role', object: roleOf(administrator, id) };
  });
  const owner = ID.adminRole;
  const grants = [
    { grantee: owner, grantor: owner, privileges: 'CU', grantable: '' },
    { grantee: 0, grantor: owner, privileges: 'U', grantable: '' },
  ];
  return [
    ...roles,
    { put: 'schema', object: { id: ID.publicSchema, name: 'public', owner, grants } },
  ];
}

function roleOf({ name, publicKey, verifierCommitment }: Administrator, id: number): Role {
  return {
    id,
    name,
    superuser: true,
    login: true,
    inherit: true,
    createRole: true,
    createDatabase: true,
    connectionLimit: -1,
    validUntil: null,
    memberOf: [],
    publicKey,
    custody: 'hosted',
    verifierCommitment,
  };
}

/**
 * The nodes and administrators of organisations, in their order.
 *
 * @throws ConfigError when they cannot make a cluster
 */
export function membersOf(parts: readonly Part[]): Pick<Foundation, 'nodes' | 'administrators'> {
  if (parts.length < 2) {
    throw new ConfigError(
      'a cluster has two parts or more; trustsql init makes a ledger of one node',
    );
  }
  distinct(parts, 'name', ({ name }) => name);
  distinct(parts, 'node key', ({ nodeKey }) => hex(nodeKey));
  distinct(parts, 'administrator key', ({ roleKey }) => hex(roleKey));
  distinct(
    parts.filter(({ address }) => address !== ''),
    'address',
    ({ address }) => address,
  );
  return {
    nodes: parts.map(({ nodeKey, address }) => ({ publicKey: nodeKey, address })),
    administrators: parts.map(({ role, roleKey, verifierCommitment }) => ({
      name: role,
      publicKey: roleKey,
      verifierCommitment,
    })),
  };
}

function distinct(parts: readonly Part[], what: string, valueOf: (part: Part) => string): void {
  const names = new Map<string, string>();
  for (const part of parts) {
    const value = valueOf(part);
    const other = names.get(value);
    if (other !== undefined) {
      throw new ConfigError(`two parts, "${other}" and "${part.name}", have the same ${what}`);
    }
    names.set(value, part.name);
  }
}

export interface Administered {
  readonly role: string;
  readonly publicKey: Uint8Array;
}

/** What a person decides by whether to join. */
export interface Description {
  readonly database: string;
  readonly consensus: Genesis['consensus'];
  readonly nodes: readonly Member[];
  readonly administrators: readonly Administered[];
  readonly quorums: Quorums;
}

export function describeGenesis(genesis: Genesis): Description {
  const { database, consensus, nodes } = genesis;
  const n = nodes.length;
  return {
    database,
    consensus,
    nodes,
    administrators: administratorsOf(genesis).map(({ name, publicKey }) => ({
      role: name,
      publicKey,
    })),
    quorums: quorums(n, faultsMax(n)),
  };
}

function administratorsOf({ catalog }: Genesis): Administrator[] {
  return catalog.flatMap((change) => {
    if (!('put' in change) || change.put !== 'role') return [];
    const { name, publicKey, verifierCommitment } = change.object;
    return publicKey === null || verifierCommitment === null
      ? []
      : [{ name, publicKey, verifierCommitment }];
  });
}

/** @throws StorageError foreign when it gives anybody other rights than `makeGenesis` does */
export function checkFirstCatalog(genesis: Genesis, place: string): void {
  const plain = firstCatalog(administratorsOf(genesis));
  if (equal(encodeChanges(plain), encodeChanges(genesis.catalog))) return;
  const what = 'its catalog holds something other than administrators and schema public';
  throw new StorageError('foreign', `${place}: ${what}`);
}

/**
 * Checks the genesis record of a ledger that runs already, for a node that is to be added to it.
 *
 * @throws StorageError foreign
 */
export function checkRunning(genesis: Genesis, part: Part, place: string): void {
  checkFirstCatalog(genesis, place);
  if (!genesis.nodes.some(({ publicKey }) => equal(publicKey, part.nodeKey))) return;
  throw new StorageError(
    'foreign',
    `${place}: this node is a member already, so it is none to add`,
  );
}

/**
 * Checks that a genesis record has a place for an organisation as its part says, and nothing that a founder should not
 * put there: roles without an organisation, other rights than those of `makeGenesis`.
 *
 * @param place  the file of the record, for messages
 * @throws StorageError foreign
 */
export function checkInvitation(genesis: Genesis, part: Part, place: string): void {
  const refuse = (what: string): StorageError => new StorageError('foreign', `${place}: ${what}`);
  const index = genesis.nodes.findIndex(({ publicKey }) => equal(publicKey, part.nodeKey));
  const node = genesis.nodes[index];
  if (node === undefined) throw refuse(`the key of this node, ${hex(part.nodeKey)}, is not in it`);
  if (node.address !== part.address) {
    throw refuse(`this node is at "${node.address}" there, and at "${part.address}" by its part`);
  }
  const administrators = administratorsOf(genesis);
  checkFirstCatalog(genesis, place);
  if (administrators.length !== genesis.nodes.length) {
    throw refuse(`${genesis.nodes.length} nodes have ${administrators.length} administrators`);
  }
  const own = administrators[index]!;
  if (
    own.name !== part.role ||
    !equal(own.publicKey, part.roleKey) ||
    !equal(own.verifierCommitment, part.verifierCommitment)
  ) {
    throw refuse(`its administrator of this node, "${own.name}", is not the one of "${part.name}"`);
  }
}
