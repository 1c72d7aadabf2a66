// `npm test`: Jest under the project's own Node, on a fresh clone too. Shell.

import { run } from '../cli/bootstrap.mjs';

await run('node_modules/jest/bin/jest.js', process.argv.slice(2), [
  '--experimental-vm-modules',
  // As cli/main.ts does.
  '--no-wasm-code-gc',
  '--disable-warning=ExperimentalWarning',
]);
