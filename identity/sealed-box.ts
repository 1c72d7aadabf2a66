// Secrets at rest: AES-256-GCM under the master key. Shell only in that it draws nonces.
//
// A box is nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes), NIST SP 800-38D. `context` names what the secret
// is and whose: a box moved to another place does not open.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { StorageError } from '../ledger/error.ts';

export const MASTER_KEY_BYTES = 32;

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function seal(masterKey: Uint8Array, context: Uint8Array, secret: Uint8Array): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', masterKey, nonce).setAAD(context);
  return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
}

/**
 * The secret of a box.
 *
 * @param place  file and entry, for the message
 * @throws StorageError damaged when bytes, context or master key are not those it was sealed with
 */
export function unseal(
  masterKey: Uint8Array,
  context: Uint8Array,
  box: Uint8Array,
  place: string,
): Uint8Array {
  try {
    const nonce = box.subarray(0, NONCE_BYTES);
    const tag = box.subarray(box.length - TAG_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', masterKey, nonce, {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(context).setAuthTag(tag);
    const text = decipher.update(box.subarray(NONCE_BYTES, box.length - TAG_BYTES));
    return Buffer.concat([text, decipher.final()]);
  } catch (error) {
    throw new StorageError('damaged', `${place}: altered, or sealed under another master key`, {
      cause: error,
    });
  }
}
