// Why a connection between nodes is closed: a code in the close frame, and a text for people. Pure.

/** Close codes, from the range that RFC 6455 §7.4.2 leaves to applications. They keep their numbers for ever. */
export const CLOSE = {
  /** Bytes that no node of this version sends. */
  protocol: 4000,
  version: 4001,
  chain: 4002,
  /** A key that is not, or no longer, among the members. */
  key: 4003,
  proof: 4004,
  /** The node has reached itself. */
  self: 4005,
  /** Another node answers at this address than the one that was dialled. */
  other: 4006,
  /** The pair has a connection already, or has a better one now. */
  duplicate: 4007,
  timeout: 4008,
  stopping: 4009,
} as const;

export type CloseCode = (typeof CLOSE)[keyof typeof CLOSE];

/** Thrown by what reads a peer's bytes; whoever catches it closes that connection. */
export class PeerRefusal extends Error {
  override readonly name = 'PeerRefusal';
  readonly code: CloseCode;

  constructor(code: CloseCode, message: string) {
    super(message);
    this.code = code;
  }
}

export function isPeerRefusal(error: unknown): error is PeerRefusal {
  return Error.isError(error) && error.name === 'PeerRefusal';
}

/** @throws PeerRefusal protocol */
export function malformed(what: string): never {
  throw new PeerRefusal(CLOSE.protocol, what);
}
