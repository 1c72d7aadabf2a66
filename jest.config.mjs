// Jest on ES modules: TypeScript is stripped by Node itself, nothing is bundled, mocked or made global.

export default {
  extensionsToTreatAsEsm: ['.ts'],
  injectGlobals: false,
  testEnvironment: 'node',
  // A slow machine is no failure: what hangs is found after three minutes.
  testTimeout: 180_000,
  testMatch: ['<rootDir>/tests/**/*.test.ts'],
  transform: { '\\.ts$': '<rootDir>/tests/strip-types.mjs' },
};
