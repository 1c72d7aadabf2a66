// The node's own signing key: `keys/node.key` in the data directory, sealed under the master key. Shell.
//
// A JSON file {version, publicKey, box}, hexadecimal. The public key is in the clear: whoever checks a proof
// needs it, and it lets `open` tell a wrong master key from a damaged file.
//
// A key that is to take its place lies beside it in the same form, as `node.key.next`, and as `node.key.due` from the
// moment it is known that the chain lists it. Each step is one rename: after a crash there is the one or the other.

import { hkdfSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { concat, equal, hex, tryFromHex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { SEED_BYTES } from '../ledger/crypto.ts';
import { StorageError } from '../ledger/error.ts';
import { makeFolder, replaceFile, syncFolder } from '../storage/durable-file.ts';
import { seal, unseal } from './sealed-box.ts';

export interface NodeKey {
  readonly publicKey: Uint8Array;
  readonly seed: Uint8Array;
}

const FORMAT_VERSION = 1;
const DERIVED_BYTES = 32;

function keysFolder(directory: string): string {
  return join(directory, 'keys');
}

export function nodeKeyFile(directory: string): string {
  return join(keysFolder(directory), 'node.key');
}

/** Made, and not on disk. */
export function newNodeKey(crypto: Crypto): NodeKey {
  const seed = new Uint8Array(randomBytes(SEED_BYTES));
  return { publicKey: crypto.publicKeyOf(seed), seed };
}

/**
 * Makes the key; it is on disk when this returns.
 *
 * @throws StorageError foreign when there is one, io when it cannot be written
 */
export function makeNodeKey(directory: string, crypto: Crypto, masterKey: Uint8Array): NodeKey {
  const key = newNodeKey(crypto);
  const path = nodeKeyFile(directory);
  try {
    makeFolder(keysFolder(directory));
    writeFileSync(path, sealedText(key, masterKey), { mode: 0o600, flag: 'wx', flush: true });
    syncFolder(keysFolder(directory));
  } catch (error) {
    const there = (error as { code?: string }).code === 'EEXIST';
    const why = there ? 'there is a node key already' : (error as Error).message;
    throw new StorageError(there ? 'foreign' : 'io', `${path}: ${why}`, { cause: error });
  }
  return key;
}

function sealedText({ publicKey, seed }: NodeKey, masterKey: Uint8Array): string {
  const box = seal(masterKey, contextOf(publicKey), seed);
  const text = { version: FORMAT_VERSION, publicKey: hex(publicKey), box: hex(box) };
  return `${JSON.stringify(text, null, 2)}\n`;
}

/** A key that is to take the place of the node's. */
export interface NextNodeKey {
  readonly publicKey: Uint8Array;
  /** The chain is known to list it, also where the blocks of this node do not say so yet. */
  readonly due: boolean;
}

/** The key that waits to take the place of the node's, or null. @throws StorageError io, damaged */
export function readNextNodeKey(directory: string): NextNodeKey | null {
  for (const due of [true, false]) {
    const path = waitingFile(directory, due);
    if (existsSync(path)) return { publicKey: readNodeKeyFile(path).publicKey, due };
  }
  return null;
}

/** Puts a key beside the node's, on disk, before anybody is told of it. @throws StorageError io */
export function keepNextNodeKey(directory: string, key: NodeKey, masterKey: Uint8Array): void {
  const path = waitingFile(directory, false);
  onDisk(path, () => replaceFile(path, sealedText(key, masterKey)));
}

/** The chain lists the key that waits: the next start takes it, whatever its own blocks say. @throws StorageError io */
export function markNextNodeKeyDue(directory: string): void {
  rename(directory, waitingFile(directory, false), waitingFile(directory, true));
}

/** The key that waits takes the place of the node's, which is gone then. @throws StorageError io */
export function takeNextNodeKey(directory: string, { due }: NextNodeKey): void {
  rename(directory, waitingFile(directory, due), nodeKeyFile(directory));
}

/** From now on a cluster may hold votes of this key: nobody may make its ledger anew as if there were none. */
export function markNodeKeyUsed(directory: string): void {
  const path = usedFile(directory);
  if (existsSync(path)) return;
  onDisk(path, () => {
    writeFileSync(path, '', { mode: 0o600, flush: true });
    syncFolder(keysFolder(directory));
  });
}

export function isNodeKeyUsed(directory: string): boolean {
  return existsSync(usedFile(directory));
}

function usedFile(directory: string): string {
  return join(keysFolder(directory), 'in-use');
}

function waitingFile(directory: string, due: boolean): string {
  return `${nodeKeyFile(directory)}.${due ? 'due' : 'next'}`;
}

function rename(directory: string, from: string, to: string): void {
  onDisk(to, () => {
    renameSync(from, to);
    syncFolder(keysFolder(directory));
  });
}

function onDisk(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw new StorageError('io', `${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** A key for one purpose, which does not tell the node's own: HKDF-SHA-256 (RFC 5869). */
export function keyFor({ seed }: NodeKey, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', seed, new Uint8Array(0), purpose, DERIVED_BYTES));
}

/** The public key alone, which needs no master key. */
export function readNodePublicKey(directory: string): Uint8Array {
  return readNodeKeyFile(nodeKeyFile(directory)).publicKey;
}

/** @throws StorageError io when it is missing, damaged when altered or sealed under another master key */
export function openNodeKey(directory: string, crypto: Crypto, masterKey: Uint8Array): NodeKey {
  const path = nodeKeyFile(directory);
  const { publicKey, box } = readNodeKeyFile(path);
  const seed = unseal(masterKey, contextOf(publicKey), box, path);
  if (!equal(crypto.publicKeyOf(seed), publicKey)) {
    throw new StorageError('damaged', `${path}: the seed is another key's`);
  }
  return { publicKey, seed };
}

function readNodeKeyFile(path: string): { publicKey: Uint8Array; box: Uint8Array } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const gone = (error as { code?: string }).code === 'ENOENT';
    const why = gone ? 'the key of the node is missing' : (error as Error).message;
    throw new StorageError('io', `${path}: ${why}`, { cause: error });
  }
  const parsed = tryParse(text);
  const publicKey = bytesOf(parsed['publicKey']);
  const box = bytesOf(parsed['box']);
  if (parsed['version'] !== FORMAT_VERSION || publicKey === null || box === null) {
    throw new StorageError('damaged', `${path}: not a node key of format ${FORMAT_VERSION}`);
  }
  return { publicKey, box };
}

function bytesOf(value: unknown): Uint8Array | null {
  return typeof value === 'string' ? tryFromHex(value) : null;
}

function tryParse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function contextOf(publicKey: Uint8Array): Uint8Array {
  return concat(new TextEncoder().encode('trustsql node key\n'), publicKey);
}
