#!/usr/bin/env node
// The command `trustsql`, for whatever Node the machine has. Shell.

import { run } from './bootstrap.mjs';

await run('cli/main.ts', process.argv.slice(2));
