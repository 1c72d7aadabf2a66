// Every message of the frontend/backend protocol 3.0 that we know, as tagged unions. Pure; types and numbers only.
//
// PostgreSQL manual, chapter 55.7. DataRow and CopyData are missing among the backend's: their bytes come
// finished from the session, and nobody should make an object of them.

import type { ColumnDescription, TransactionStatus } from './backend.ts';

/** What a client may send instead of a type byte: the code of a start-up packet. */
export const START_UP = {
  cancelRequest: 80877102,
  sslRequest: 80877103,
  gssEncRequest: 80877104,
  /** 3.0; the low 16 bits are the minor version. */
  protocol: 0x0003_0000,
} as const;

export type StartUpPacket =
  | { readonly kind: 'sslRequest' }
  | { readonly kind: 'gssEncRequest' }
  | { readonly kind: 'cancelRequest'; readonly processId: number; readonly secretKey: number }
  | {
      readonly kind: 'startUp';
      /** Minor of major version 3. */
      readonly minor: number;
      readonly user: string;
      readonly database: string;
      readonly settings: ReadonlyMap<string, string>;
      /** Names of `_pq_.` options: protocol extensions, of which we know none. */
      readonly extensions: readonly string[];
    };

export type StatementOrPortal = 'statement' | 'portal';

export type FrontendMessage =
  | {
      readonly kind: 'parse';
      readonly name: string;
      readonly text: string;
      readonly parameterOids: readonly number[];
    }
  | {
      readonly kind: 'bind';
      readonly portal: string;
      readonly statement: string;
      /** Views of the received bytes, valid for ever: the framer never writes over what it has handed out. */
      readonly values: readonly (Uint8Array | null)[];
      readonly formats: readonly number[];
      readonly resultFormats: readonly number[];
    }
  | { readonly kind: 'describe'; readonly what: StatementOrPortal; readonly name: string }
  | { readonly kind: 'execute'; readonly portal: string; readonly rowsMax: number }
  | { readonly kind: 'close'; readonly what: StatementOrPortal; readonly name: string }
  | { readonly kind: 'sync' }
  | { readonly kind: 'flush' }
  | { readonly kind: 'query'; readonly text: string }
  | { readonly kind: 'functionCall' }
  | { readonly kind: 'copyData'; readonly data: Uint8Array }
  | { readonly kind: 'copyDone' }
  | { readonly kind: 'copyFail'; readonly reason: string }
  | { readonly kind: 'terminate' };

/** Field type (one letter: S V C M D H P W s t c d n) and text, in the order they are sent. */
export type ErrorField = readonly [type: string, text: string];

export type BackendMessage =
  | { readonly kind: 'authenticationOk' }
  | { readonly kind: 'authenticationSasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'authenticationSaslContinue'; readonly data: string }
  | { readonly kind: 'authenticationSaslFinal'; readonly data: string }
  | { readonly kind: 'negotiateProtocolVersion'; readonly extensions: readonly string[] }
  | { readonly kind: 'parameterStatus'; readonly name: string; readonly value: string }
  | { readonly kind: 'backendKeyData'; readonly processId: number; readonly secretKey: number }
  | { readonly kind: 'readyForQuery'; readonly status: TransactionStatus }
  | { readonly kind: 'parameterDescription'; readonly oids: readonly number[] }
  | {
      readonly kind: 'rowDescription';
      readonly columns: readonly ColumnDescription[];
      /** None (all text), one for all, or one each. */
      readonly formats: readonly number[];
    }
  | { readonly kind: 'commandComplete'; readonly tag: string }
  | { readonly kind: 'errorResponse'; readonly fields: readonly ErrorField[] }
  | { readonly kind: 'noticeResponse'; readonly fields: readonly ErrorField[] }
  | {
      readonly kind: 'copyInResponse' | 'copyOutResponse';
      readonly format: number;
      readonly columnFormats: readonly number[];
    };
