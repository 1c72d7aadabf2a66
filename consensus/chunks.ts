// Chunks of large transactions, as the agreement needs them: docs/consensus.md, Large transactions. Pure.
//
// What exceeds a block is stored beforehand, at the node whose session has it and at others; the block then names the
// chunks by their hashes. A member votes for such a block when it has all of them on disk, and executes it not before.

/** The chunks that a node has; server/chunks fits it. Nodes are named by their public keys. */
export interface Chunks {
  /** Whether all are on disk. They stay while `Cluster.chunksInUse` names them, and some time longer. */
  has(hashes: readonly Uint8Array[]): boolean;
  /** Gets what is missing if it can be had; `Cluster.chunksArrived` follows. @param from  who names them, and is asked first */
  want(hashes: readonly Uint8Array[], from: Uint8Array): void;
  /** Resolves when all are on disk, however long that takes: with false when the node stops before. */
  fetch(hashes: readonly Uint8Array[]): Promise<boolean>;
  /** A block that names these was executed. */
  executed(hashes: readonly Uint8Array[]): void;
  /** Ends every `fetch`. */
  stop(): void;
}
