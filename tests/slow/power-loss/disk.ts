// A model of the files below a directory, and of what a power loss may leave of them. Pure: no I/O; what is drawn by
// lot comes from a generator that the caller gives.
//
// Kept is what a sync that had returned covers: of a file its bytes and its length, of a folder the names in it. Of
// what came after, nothing may be there, or all, or the beginning, or any part:
//
// (1) Each sector of a file stands at some moment of its own since the last sync. Writes that cross sectors are torn.
// (2) The length stands at some moment too. Bytes that never came are zeros; what a truncation has freed does not come back
//     once it is there, and is not written over before.
// (3) Each change of a folder has come or not; a rename is one change.

import path from 'node:path';
import type { LogRecord } from './log.ts';

type Random = () => number;

interface FileChange {
  readonly at: number;
  readonly offset: number;
  /** null: the file is cut off, or made longer, there. */
  readonly data: Buffer | null;
}

interface FileNode {
  /** As synced. */
  bytes: Buffer;
  size: number;
  changes: FileChange[];
  /** Somebody has synced it: what stands in it is relied on. */
  synced: boolean;
}

interface FolderChange {
  readonly at: number;
  /** What the names stand for from then on; null: they are gone. */
  readonly names: readonly (readonly [string, Node | null])[];
}

interface FolderNode {
  readonly synced: Map<string, Node>;
  readonly now: Map<string, Node>;
  changes: FolderChange[];
}

type Node = FileNode | FolderNode;

export type Survival = 'nothing' | 'all' | 'beginning' | 'any part';
const SURVIVALS: readonly Survival[] = ['nothing', 'all', 'beginning', 'any part'];
/** Of some disks, and of others: what they write whole or not at all. */
const SECTORS_BYTES = [512, 4096];

function isFolder(node: Node | undefined): node is FolderNode {
  return node !== undefined && 'now' in node;
}

function newFolder(): FolderNode {
  return { synced: new Map(), now: new Map(), changes: [] };
}

/** What is left: file contents by path relative to the root; null is a folder. */
export type Image = ReadonlyMap<string, Buffer | null>;

export class Disk {
  readonly #root: string;
  readonly #tree = newFolder();
  readonly #files = new Map<bigint, FileNode>();
  /** What a sync covers that has begun: by thread. */
  readonly #syncs = new Map<number, { readonly node: Node; readonly before: number }>();
  #at = 0;

  /** @param root  an empty directory when the log begins */
  constructor(root: string) {
    this.#root = root;
  }

  /** @throws Error for what the model cannot say */
  apply(record: LogRecord): void {
    this.#at += 1;
    const { kind, inode, offset, data } = record;
    switch (kind) {
      case 'create': {
        const file = { bytes: Buffer.alloc(0), size: 0, changes: [], synced: false };
        this.#files.set(inode, file);
        return this.#change(record.path, file);
      }
      case 'mkdir':
        return this.#change(record.path, newFolder());
      case 'write':
        return void this.#file(record).changes.push({ at: this.#at, offset, data });
      case 'truncate':
        return void this.#file(record).changes.push({ at: this.#at, offset, data: null });
      case 'sync begins':
        return void this.#syncs.set(record.thread, { node: this.#open(record), before: this.#at });
      case 'sync':
        return this.#synced(record);
      case 'rename':
        return this.#rename(record.path, data.toString());
      case 'link':
        return this.#change(data.toString(), this.#find(record.path)!);
      case 'unlink':
      case 'rmdir':
        return this.#change(record.path, null);
      case 'unknown':
        throw new Error(`${record.path}: ${data.toString()} is not recorded`);
      case 'mark':
        return;
    }
  }

  #file({ inode, path: name }: LogRecord): FileNode {
    const file = this.#files.get(inode);
    if (file === undefined) throw new Error(`${name}: written, and was never made`);
    return file;
  }

  #open(record: LogRecord): Node {
    const folder = record.path === this.#root ? this.#tree : this.#find(record.path);
    return isFolder(folder) ? folder : this.#file(record);
  }

  #find(full: string): Node | undefined {
    let node: Node | undefined = this.#tree;
    for (const name of path.relative(this.#root, full).split('/')) {
      node = isFolder(node) ? node.now.get(name) : undefined;
    }
    return node;
  }

  #folderOf(full: string): FolderNode {
    const parent = path.dirname(full);
    const folder = parent === this.#root ? this.#tree : this.#find(parent);
    if (!isFolder(folder)) throw new Error(`${parent}: not made as far as the log says`);
    return folder;
  }

  #change(full: string, node: Node | null): void {
    this.#changeNames(this.#folderOf(full), [[path.basename(full), node]]);
  }

  #rename(from: string, to: string): void {
    const node = this.#find(from);
    if (node === undefined || path.dirname(from) !== path.dirname(to)) {
      throw new Error(`${from}: renamed to ${to}, which is not modelled`);
    }
    const names = [[path.basename(from), null] as const, [path.basename(to), node] as const];
    this.#changeNames(this.#folderOf(from), names);
  }

  #changeNames(folder: FolderNode, names: FolderChange['names']): void {
    put(folder.now, names);
    folder.changes.push({ at: this.#at, names });
  }

  #synced({ thread, path: name }: LogRecord): void {
    const sync = this.#syncs.get(thread);
    if (sync === undefined) throw new Error(`${name}: a sync ended that had not begun`);
    this.#syncs.delete(thread);
    const { node, before } = sync;
    const covered = ({ at }: { readonly at: number }): boolean => at < before;
    if (isFolder(node)) {
      for (const { names } of node.changes.filter(covered)) put(node.synced, names);
      node.changes = node.changes.filter((change) => !covered(change));
      return;
    }
    node.synced = true;
    const done = node.changes.filter(covered);
    node.changes = node.changes.filter((change) => !covered(change));
    for (const change of done) write(node, change);
  }

  /** Files that were synced, and whose names were not: a power loss may leave none of them. */
  nameless(): string[] {
    const found: string[] = [];
    const look = ({ now, synced }: FolderNode, prefix: string): void => {
      for (const [name, node] of now) {
        if (isFolder(node)) look(node, `${prefix}${name}/`);
        else if (node.synced && synced.get(name) !== node) found.push(prefix + name);
      }
    };
    look(this.#tree, '');
    return found;
  }

  /**
   * What may be left if the power fails now. Without a generator: what a process would read.
   *
   * @param without  path of a folder that is left out, relative to the root
   */
  image(random: Random | null, without = ''): Image {
    const draw = new Draw(random);
    const image = new Map<string, Buffer | null>();
    const add = (folder: FolderNode, prefix: string): void => {
      for (const [name, node] of draw.names(folder)) {
        if (prefix + name === without) continue;
        image.set(prefix + name, isFolder(node) ? null : draw.content(node));
        if (isFolder(node)) add(node, `${prefix}${name}/`);
      }
    };
    add(this.#tree, '');
    return image;
  }
}

function put(names: Map<string, Node>, changes: FolderChange['names']): void {
  for (const [name, node] of changes) {
    if (node === null) names.delete(name);
    else names.set(name, node);
  }
}

/** Makes a change to what is synced. */
function write(file: FileNode, { offset, data }: FileChange): void {
  const end = data === null ? offset : Math.max(file.size, offset + data.length);
  if (file.bytes.length < end) {
    const grown = Buffer.alloc(Math.max(end, 2 * file.bytes.length));
    file.bytes.copy(grown, 0, 0, file.size);
    file.bytes = grown;
  }
  if (data === null) file.bytes.fill(0, offset);
  else data.copy(file.bytes, offset);
  file.size = end;
}

/** One power loss: what is drawn for each file and folder. */
class Draw {
  readonly #random: Random | null;
  readonly #sectorBytes: number;
  /** For all files and folders alike; null: each its own. */
  readonly #survival: Survival | null;

  constructor(random: Random | null) {
    this.#random = random;
    this.#sectorBytes = SECTORS_BYTES[this.#below(SECTORS_BYTES.length)]!;
    const all = [...SURVIVALS, null, null];
    this.#survival = random === null ? 'all' : all[this.#below(all.length)]!;
  }

  #below(end: number): number {
    return this.#random === null ? 0 : Math.floor(this.#random() * end);
  }

  get #one(): Survival {
    return this.#survival ?? SURVIVALS[this.#below(SURVIVALS.length)]!;
  }

  names({ synced, changes }: FolderNode): ReadonlyMap<string, Node> {
    const names = new Map(synced);
    const survival = this.#one;
    const end = this.#endOf(survival, changes.length);
    for (const change of changes.slice(0, end)) {
      if (survival !== 'any part' || this.#below(2) === 0) put(names, change.names);
    }
    return names;
  }

  /** How many of the changes may have come. */
  #endOf(survival: Survival, count: number): number {
    if (survival === 'nothing') return 0;
    return survival === 'beginning' ? this.#below(count + 1) : count;
  }

  content({ bytes, size, changes }: FileNode): Buffer {
    const survival = changes.length === 0 ? 'nothing' : this.#one;
    const file = { bytes: Buffer.from(bytes.subarray(0, size)), size, changes: [], synced: true };
    if (survival === 'any part') return this.#torn(file, changes);
    for (const change of changes.slice(0, this.#endOf(survival, changes.length))) {
      write(file, change);
    }
    return file.bytes.subarray(0, file.size);
  }

  #torn(file: FileNode, changes: readonly FileChange[]): Buffer {
    /** So many changes of the length, and cuts, have come. */
    const lengthAt = this.#below(changes.length + 1);
    let length = file.size;
    for (const { offset, data } of changes.slice(0, lengthAt)) {
      length = data === null ? offset : Math.max(length, offset + data.length);
    }
    const cuts = changes.flatMap(({ offset, data }, i) => (data === null ? [{ i, offset }] : []));
    const sectors = new Map<number, number>();
    const seen = (sector: number): number => {
      const known = sectors.get(sector);
      if (known !== undefined) return known;
      const drawn = this.#sectorAt(cuts, changes.length, lengthAt, sector * this.#sectorBytes);
      sectors.set(sector, drawn);
      return drawn;
    };
    for (const [i, { offset, data }] of changes.entries()) {
      const end = data === null ? file.bytes.length : offset + data.length;
      for (let at = offset; at < end;) {
        const sector = Math.floor(at / this.#sectorBytes);
        const next = Math.min(end, (sector + 1) * this.#sectorBytes);
        if (i < seen(sector)) {
          const part =
            data === null ? Buffer.alloc(next - at) : data.subarray(at - offset, next - offset);
          write(file, { at: 0, offset: at, data: part });
        }
        at = next;
      }
    }
    const whole = Buffer.alloc(length);
    file.bytes.copy(whole, 0, 0, Math.min(length, file.size));
    return whole;
  }

  /** So many of the changes a sector has seen; `cuts` are those that free what lies behind them. */
  #sectorAt(
    cuts: readonly { readonly i: number; readonly offset: number }[],
    count: number,
    lengthAt: number,
    start: number,
  ): number {
    let [least, most] = [0, count];
    for (const { i, offset } of cuts) {
      if (offset > start) continue;
      if (i < lengthAt) least = i + 1;
      else most = Math.min(most, i);
    }
    return least + this.#below(Math.max(0, most - least) + 1);
  }
}
