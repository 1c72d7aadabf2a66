// Jest transformer: Node's own type stripping, so that tests run the very text that the node runs.

import { stripTypeScriptTypes } from 'node:module';

export default {
  process: (source) => ({ code: stripTypeScriptTypes(source, { mode: 'strip' }) }),
};
