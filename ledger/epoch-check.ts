// Who the members of a chain are in a later epoch, shown from its genesis record alone. Pure, browser-safe.
//
// The members of an epoch confirm the block that ends it, and that block says who the next ones are: one
// certificate for each change leads from the chain id, the hash of the genesis record, to any epoch.
//
// It shows as much as certificates do: that no two chains go on from one genesis holds while no more than f
// members of each epoch lie, former members among them. Who knows a newer digest should check against it too.

import { equal } from './bytes.ts';
import { checkCertificateOf, isOfLater } from './certificate-check.ts';
import type { Crypto } from './crypto.ts';
import { decodeBody, decodeGenesis, decodeHeader } from './encoding.ts';
import { decodeCertificate } from './encoding-vote.ts';
import { genesisConfig, memberOf, nextConfig } from './epoch.ts';
import type { EpochConfig } from './epoch.ts';
import { FormatError } from './error.ts';
import { bodyHash, chainIdOf, headerHash } from './hash.ts';

/** The last block of an epoch, all parts encoded; its certificate is its own. */
export interface Barrier {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  readonly certificate: Uint8Array;
}

export interface EpochsProof {
  /** Encoded genesis record. */
  readonly genesis: Uint8Array;
  /** The last block of each epoch but the newest, in order. */
  readonly barriers: readonly Barrier[];
}

/**
 * The configurations of all epochs, in order; at least that of epoch 0.
 *
 * @throws FormatError that says what does not follow from the chain id
 */
export function checkEpochs(
  crypto: Crypto,
  chainId: Uint8Array,
  { genesis, barriers }: EpochsProof,
): readonly EpochConfig[] {
  if (!equal(chainIdOf(crypto, genesis), chainId)) {
    throw new FormatError('the genesis record is of another chain');
  }
  const configs = [genesisConfig(decodeGenesis(genesis))];
  for (const barrier of barriers) {
    configs.push(afterBarrier(crypto, chainId, configs.at(-1)!, barrier));
  }
  return configs;
}

/**
 * @param certificate  encoded, of the header itself
 * @returns what keeps the members of an epoch from having confirmed this very block, or null
 */
export function checkConfirmed(
  crypto: Crypto,
  chainId: Uint8Array,
  config: EpochConfig,
  encoded: { readonly header: Uint8Array; readonly certificate: Uint8Array },
): string | null {
  const header = decodeHeader(encoded.header);
  const certificate = decodeCertificate(encoded.certificate);
  if (!equal(header.chainId, chainId)) return 'the header is of another chain';
  if (header.epoch !== config.epoch) return `header of epoch ${header.epoch}, not ${config.epoch}`;
  if (isOfLater(certificate, header)) return 'the certificate is of a later block';
  if (certificate.kind === 'proposer') {
    // Block 0 has the signature of one node, which does not speak for the others.
    if (config.policy !== 'solo') return 'members have not voted';
    if (memberOf(config, header.proposer) < 0) return 'the proposer is no member';
  }
  const hash = headerHash(crypto, encoded.header);
  return checkCertificateOf({ crypto, chainId, config }, header, hash, certificate);
}

function afterBarrier(
  crypto: Crypto,
  chainId: Uint8Array,
  config: EpochConfig,
  barrier: Barrier,
): EpochConfig {
  const at = `the block that ends epoch ${config.epoch}`;
  const wrong = checkConfirmed(crypto, chainId, config, barrier);
  if (wrong !== null) throw new FormatError(`${at} is not confirmed: ${wrong}`);
  const header = decodeHeader(barrier.header);
  if (!equal(bodyHash(crypto, barrier.body), header.bodyHash)) {
    throw new FormatError(`${at} has another body`);
  }
  const next = nextConfig(config, header, decodeBody(barrier.body).system);
  if (next.epoch === config.epoch) throw new FormatError(`${at} has no record that would`);
  return next;
}
