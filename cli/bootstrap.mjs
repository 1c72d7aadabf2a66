// Finds, and if need be installs, what TrustSQL runs on. Shell; plain JavaScript that any Node ≥ 12 can read.
//
// A fresh clone has no node_modules, and the machine's own Node may be too old to strip types. So every command
// enters here: (1) packages as the lock file names them are present, (2) the program runs under Node ≥ 24.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const nodeMajorMin = 24;
const bootstrapMajorMin = 20;
const cannotStart = 3;

/** Runs `script` (a path below the root) under the right Node; ends this process with its exit code. */
export async function run(script, scriptArguments, nodeOptions = []) {
  if (major(process.versions.node) < bootstrapMajorMin) {
    fail(`TrustSQL needs Node.js ${bootstrapMajorMin} or newer; this is ${process.version}.`);
  }
  if (!installed()) install();
  const node = nodeBinary();
  const file = path.join(root, script);
  if (nodeOptions.length === 0 && sameFile(node, process.execPath)) {
    // Already the right one: no second process, so signals need no forwarding.
    process.argv = [process.argv[0], file, ...scriptArguments];
    await import(new URL(`file://${file}`).href);
    return;
  }
  const child = spawn(node, [...nodeOptions, file, ...scriptArguments], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // A terminal sends Ctrl-C to the whole group: the child has it already.
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal));
  }
  child.on('error', (error) => fail(`${node} does not run: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** True if node_modules holds the versions of the lock file, as npm's own hidden lock file says. */
function installed() {
  const hidden = path.join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(hidden)) return false;
  const wanted = packagesOf(path.join(root, 'package-lock.json'));
  const present = packagesOf(hidden);
  return Object.keys(wanted).every((name) => {
    const there = present[name];
    // Optional packages are for other platforms, or may have failed: npm decides.
    if (there === undefined) return name === '' || wanted[name].optional === true;
    return there.version === wanted[name].version;
  });
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}

function install() {
  process.stderr.write('Installing packages (once, about 15 seconds) …\n');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const npmArguments = ['ci', '--include=dev', '--include=optional', '--loglevel=error'];
  const result = spawnSync(npm, npmArguments, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
    // A script that npm runs inherits npm's settings; a global or dry run of ours must not leak in.
    env: { ...process.env, npm_config_global: 'false', npm_config_dry_run: 'false' },
  });
  if (result.status !== 0) fail('npm ci failed: the packages could not be installed.');
}

function nodeBinary() {
  const windows = process.platform === 'win32';
  for (const prefix of ['node', 'node-bin']) {
    const name = `${prefix}-${windows ? 'win' : process.platform}-${process.arch}`;
    const own = path.join(root, 'node_modules', name, 'bin', windows ? 'node.exe' : 'node');
    if (!existsSync(own)) continue;
    if (!windows) linkNode(own);
    return own;
  }
  if (major(process.versions.node) >= nodeMajorMin) return process.execPath;
  return fail(
    `npm has no Node.js ${nodeMajorMin} for ${process.platform} ${process.arch}: ` +
      `install Node.js ${nodeMajorMin} and try again (this is ${process.version}).`,
  );
}

/** npm up to 10 leaves out the link of an optional package's program; npm scripts look for it there. */
function linkNode(binary) {
  const folder = path.join(root, 'node_modules', '.bin');
  const link = path.join(folder, 'node');
  if (existsSync(link)) return;
  try {
    mkdirSync(folder, { recursive: true });
    symlinkSync(path.relative(folder, binary), link);
  } catch {
    // Another process was quicker, or the folder is read-only; the binary itself is there.
  }
}

function sameFile(left, right) {
  return realpathSync(left) === realpathSync(right);
}

function major(version) {
  return Number(version.split('.')[0]);
}

function fail(sentence) {
  process.stderr.write(`trustsql: ${sentence}\n`);
  return process.exit(cannotStart);
}

// `node cli/bootstrap.mjs benchmarks/main.ts …` runs any program of the project.
if (process.argv[1] !== undefined && sameFile(process.argv[1], fileURLToPath(import.meta.url))) {
  await run(process.argv[2], process.argv.slice(3));
}
