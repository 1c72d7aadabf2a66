// The files of the state: shard 0, with the other shards and the block index attached to its connection. Shell.
//
// (1) All of them can be made again from the blocks. Files of an older layout are thrown away as a whole, and
//     the writer's recovery fills the new ones; files that are none of ours are never touched.

import { existsSync, lstatSync, readlinkSync, realpathSync, rmSync, statSync } from 'node:fs';
import { truncateSync } from 'node:fs';
import { FORMAT_VERSION } from '../ledger/block.ts';
import { StorageError } from '../ledger/error.ts';
import { indexFile, shardFile } from './data-directory.ts';
import { shardSchema } from './names.ts';
import { attach, guard, openDatabase } from './sqlite.ts';
import { LAYOUT, indexTables, shardTables } from './state-schema.ts';
import type { DataDirectory } from './data-directory.ts';
import type { Database } from './sqlite.ts';

/** Opens the files that are there. @throws StorageError damaged, or foreign when they have another layout */
export function attachState(data: DataDirectory, readonly: boolean): Database {
  for (const [, file] of filesOf(data)) {
    requireTarget(file);
    if (!existsSync(file)) throw new StorageError('damaged', `${file}: missing`);
  }
  const database = open(data, readonly);
  try {
    for (const [schema, file] of filesOf(data)) {
      const found = layoutOf(database, schema);
      if (found !== LAYOUT && !isEmpty(database, schema)) throw otherLayout(file, found);
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Opens the files and makes those that are missing, or all of them when they have an older layout. */
export function makeState(data: DataDirectory): Database {
  for (const [, file] of filesOf(data)) requireTarget(file);
  if (isOlder(data)) for (const [, file] of filesOf(data)) removeDatabase(file);
  const database = open(data, false);
  try {
    for (const [schema, file] of filesOf(data)) {
      if (isEmpty(database, schema)) guard(file, () => make(database, data, schema));
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Name on the connection and path of each state shard, by number. */
export function shardsOf(data: DataDirectory): [schema: string, file: string][] {
  return Array.from({ length: data.stateShards }, (_, shard) => [
    shardSchema(shard),
    shardFile(data.path, shard),
  ]);
}

/** Of a file of the state, in bytes. */
export interface ShardFile {
  /** Pages that hold nothing: new rows take them. */
  readonly free: number;
  /** The write-ahead log on disk; it keeps its length when it begins anew. */
  readonly log: number;
}

/** @param database a connection that has the files attached */
export function shardFiles(database: Database, data: DataDirectory): ShardFile[] {
  return shardsOf(data).map(([schema, file]) => {
    const number = (name: string): number =>
      Number(database.pragma(`${schema}.${name}`, { simple: true }));
    const log = statSync(`${realpathSync(file)}-wal`, { throwIfNoEntry: false });
    return { free: number('freelist_count') * number('page_size'), log: log?.size ?? 0 };
  });
}

/**
 * A shard may be a link to a file on another disk (storage/shard-place.ts). SQLite would make a new file where that is gone.
 *
 * @throws StorageError io when there is a link and not what it names
 */
export function requireTarget(file: string): void {
  if (!isLink(file) || existsSync(file)) return;
  const message = `links to ${readlinkSync(file)}, which is not there; is the disk mounted?`;
  throw new StorageError('io', `${file}: ${message}`);
}

function isLink(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/** Removes a database with its log, if it is there. One on another disk stays there, with nothing in it. */
export function removeDatabase(file: string): void {
  if (!isLink(file)) {
    for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
    return;
  }
  const real = realpathSync(file);
  // A log without its file would be read into the new one.
  for (const end of ['-wal', '-shm']) rmSync(real + end, { force: true });
  truncateSync(real);
}

/** The shards, and the block index. */
function filesOf(data: DataDirectory): [schema: string, file: string][] {
  return [...shardsOf(data), ['chain', indexFile(data.path)]];
}

function open(data: DataDirectory, readonly: boolean): Database {
  const [[, main], ...others] = filesOf(data) as [[string, string], ...[string, string][]];
  const database = openDatabase(main, { readonly });
  try {
    for (const [schema, file] of others) attach(database, file, schema);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function isOlder(data: DataDirectory): boolean {
  return filesOf(data).some(([, file]) => {
    if (!existsSync(file)) return false;
    const database = openDatabase(file);
    try {
      const found = layoutOf(database, 'main');
      if (found > LAYOUT) throw otherLayout(file, found);
      return found < LAYOUT && isOurs(database);
    } finally {
      database.close();
    }
  });
}

/** Whether the file is a shard or a block index, of whatever layout. */
function isOurs(database: Database): boolean {
  const known = "SELECT count(*) FROM sqlite_schema WHERE name IN ('_meta', 'frontier')";
  return database.prepare(known).pluck().get() === 1n;
}

function isEmpty(database: Database, schema: string): boolean {
  return database.prepare(`SELECT count(*) FROM ${schema}.sqlite_schema`).pluck().get() === 0n;
}

function layoutOf(database: Database, schema: string): number {
  return Number(database.pragma(`${schema}.user_version`, { simple: true }));
}

function otherLayout(file: string, found: number): StorageError {
  const message =
    found > LAYOUT
      ? `layout ${found} was made by a newer version of this program`
      : `layout ${found} is of an older version; a node makes the file anew when it starts`;
  return new StorageError('foreign', `${file}: ${message}`);
}

function make(database: Database, data: DataDirectory, schema: string): void {
  if (schema === 'chain') {
    database.exec(`BEGIN; ${indexTables(schema)} COMMIT`);
    return;
  }
  const shard = schema === 'main' ? 0 : Number(schema.slice(1));
  database.exec(`BEGIN; ${shardTables(shard, schema)}`);
  const insert = database.prepare(`INSERT INTO ${schema}._meta VALUES(?,?)`);
  insert.run('format', BigInt(FORMAT_VERSION));
  insert.run('chain', data.chainId);
  insert.run('shard', BigInt(shard));
  insert.run('height', -1n);
  database.exec('COMMIT');
}
