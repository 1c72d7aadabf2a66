// Postgres' text of its own node trees (pg_node_tree), taken apart without knowing any node. Pure.
//
// The form is that of outfuncs.c: `{TYPE :field value …}`, lists in parentheses, `<>` for null, strings of
// lists in double quotes, backslash escapes in words, and the bytes of a constant as `4 [ 1 0 0 0 ]`.

import { AssertionError } from '../ledger/error.ts';

/** A word (numbers and booleans are words), null, a list, a node, or the bytes of a constant. */
export type TreeValue = string | null | Uint8Array | TreeNode | readonly TreeValue[];

export interface TreeNode {
  /** Upper-case node name, e.g. `OPEXPR`. */
  readonly tag: string;
  readonly fields: ReadonlyMap<string, TreeValue>;
}

const SPACE = 32;
const QUOTE = 34;
const OPEN = 40;
const CLOSE = 41;
const MINUS = 45;
const ZERO = 48;
const COLON = 58;
const BACKSLASH = 92;
const BRACE_OPEN = 123;
const BRACE_CLOSE = 125;

/** @throws AssertionError when the text is not a node tree */
export function parseTree(text: string): TreeValue {
  return new TreeReader(text).value();
}

export function isNode(value: TreeValue | undefined): value is TreeNode {
  return typeof value === 'object' && value !== null && 'tag' in value;
}

/** Calls `visit` for every node of the tree, outer ones first. */
export function walkTree(value: TreeValue, visit: (node: TreeNode) => void): void {
  if (Array.isArray(value)) {
    for (const item of value as readonly TreeValue[]) walkTree(item, visit);
  } else if (isNode(value)) {
    visit(value);
    for (const field of value.fields.values()) walkTree(field, visit);
  }
}

class TreeReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): TreeValue {
    this.#skip();
    switch (this.#text.charCodeAt(this.#at)) {
      case BRACE_OPEN:
        return this.#node();
      case OPEN:
        return this.#list();
      case QUOTE: {
        this.#at += 1;
        const word = this.#word(true);
        this.#at += 1;
        return word;
      }
      default:
        return this.#plain();
    }
  }

  #plain(): string | null {
    const start = this.#at;
    const word = this.#word(false);
    if (this.#at === start) throw new AssertionError(`node tree: nothing to read at ${start}`);
    return word === '<>' && this.#text.slice(start, this.#at) === '<>' ? null : word;
  }

  #skip(): void {
    while (this.#text.charCodeAt(this.#at) <= SPACE) this.#at += 1;
  }

  /** A run of characters up to a delimiter, escapes resolved. */
  #word(quoted: boolean): string {
    const text = this.#text;
    const start = this.#at;
    let escaped = false;
    for (; this.#at < text.length; this.#at += 1) {
      const code = text.charCodeAt(this.#at);
      if (code === BACKSLASH) {
        escaped = true;
        this.#at += 1;
      } else if (quoted ? code === QUOTE : isDelimiter(code)) break;
    }
    const raw = text.slice(start, this.#at);
    return escaped ? raw.replace(/\\([^])/g, '$1') : raw;
  }

  #list(): TreeValue[] {
    this.#at += 1;
    // Lists of integers, OIDs, transaction ids and bit sets begin with a letter for their kind.
    if (/^[iobx][ )]/.test(this.#text.slice(this.#at, this.#at + 2))) this.#at += 1;
    const items: TreeValue[] = [];
    for (;;) {
      this.#skip();
      if (this.#text.charCodeAt(this.#at) === CLOSE) break;
      items.push(this.value());
    }
    this.#at += 1;
    return items;
  }

  #node(): TreeNode {
    this.#at += 1;
    const tag = this.#word(false);
    const fields = new Map<string, TreeValue>();
    for (;;) {
      this.#skip();
      const code = this.#text.charCodeAt(this.#at);
      if (code === BRACE_CLOSE) break;
      if (code !== COLON) throw new AssertionError(`node tree: no field at ${this.#at} in ${tag}`);
      this.#at += 1;
      const name = this.#word(false);
      fields.set(name, name === 'constvalue' ? this.#bytes() : this.#field());
    }
    this.#at += 1;
    return { tag, fields };
  }

  /** A field's value; an empty one (a character field of zero) reads as null. */
  #field(): TreeValue {
    this.#skip();
    const code = this.#text.charCodeAt(this.#at);
    if (code === COLON || code === BRACE_CLOSE) return null;
    return this.value();
  }

  #bytes(): Uint8Array | null {
    this.#skip();
    if (this.#word(false) === '<>') return null;
    const open = this.#text.indexOf('[', this.#at);
    const close = this.#text.indexOf(']', open);
    if (open < 0 || close < 0) throw new AssertionError(`node tree: no bytes at ${this.#at}`);
    this.#at = close + 1;
    return byteNumbers(this.#text, open + 1, close);
  }
}

/** Bytes written as signed decimal numbers with blanks around them; a constant may have millions. */
function byteNumbers(text: string, start: number, end: number): Uint8Array {
  const bytes = new Uint8Array((end - start + 1) >> 1);
  let count = 0;
  for (let at = start; at < end; at += 1) {
    const negative = text.charCodeAt(at) === MINUS;
    if (negative) at += 1;
    const first = at;
    let byte = 0;
    for (; at < end && text.charCodeAt(at) > SPACE; at += 1) {
      byte = byte * 10 + text.charCodeAt(at) - ZERO;
    }
    if (at > first) bytes[count++] = negative ? -byte : byte;
  }
  return bytes.slice(0, count);
}

function isDelimiter(code: number): boolean {
  return (
    code <= SPACE || code === OPEN || code === CLOSE || code === BRACE_OPEN || code === BRACE_CLOSE
  );
}
