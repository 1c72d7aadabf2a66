// The parts of a node that orders alone. Shell.

import type { Ledger } from '../consensus/consensus.ts';
import { Solo } from '../consensus/solo.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import type { Writer } from '../storage/writer.ts';
import { systemClock } from './clock.ts';
import { soloState } from './cluster-status.ts';
import type { Config } from './config.ts';
import type { NodeSecrets } from './initialise.ts';
import type { OrderingPart } from './ordering.ts';

export interface SoloPartOptions {
  readonly config: Config;
  readonly secrets: NodeSecrets;
  readonly writer: Pick<Writer, 'putChunk' | 'dropChunks'>;
  readonly ledger: Ledger;
  /** In force after the newest block. */
  readonly rules: EpochConfig;
  readonly onHandover: () => void;
  readonly onFailure: (error: unknown) => void;
}

export function openSolo({
  config,
  secrets,
  writer,
  ledger,
  rules,
  ...calls
}: SoloPartOptions): OrderingPart {
  const { data, nodeKey } = secrets;
  const consensus = new Solo({
    crypto: nativeCrypto,
    chainId: data.chainId,
    nodeSeed: nodeKey.seed,
    nodePublicKey: nodeKey.publicKey,
    ledger,
    config: rules,
    now: () => systemClock.now(),
    idleProofMs: config.idleProofMs,
    ...calls,
  });
  return {
    consensus,
    network: null,
    chunks: {
      put: (bytes) => writer.putChunk(bytes),
      drop: (hashes) => writer.dropChunks(hashes),
      // What a node alone is given to order it executes.
      settle: () => undefined,
    },
    state: () => soloState(consensus.config, ledger.tip.height),
    stop: () => consensus.stop(),
  };
}
