// What storage/native-crypto.ts uses of libsodium; the package comes without types.

declare module 'sodium-native' {
  interface Sodium {
    /** Fills `publicKey` (32 bytes) and `secret` (64) from `seed` (32). */
    crypto_sign_seed_keypair(publicKey: Uint8Array, secret: Uint8Array, seed: Uint8Array): void;
    /** Fills `signature` (64 bytes). */
    crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secret: Uint8Array): void;
  }
  const sodium: Sodium;
  export default sodium;
}
