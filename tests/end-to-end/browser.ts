// The ledger's own modules in a real browser: a page from 127.0.0.1, its verdict sent back. Shell.
//
// The modules are the source files themselves, with their types taken out on the way.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findProgram, PROJECT } from './process.ts';

/** Debian's name, and the other usual ones. */
export const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome']
  .map(findProgram)
  .find((file) => file !== undefined);

/** A browser that has not answered after so long, in ms, will not. */
const ANSWER_TIMEOUT_MS = 60_000;
/** What a page may load: the pure modules and the two packages they stand on. */
const SERVED = /^\/(ledger\/[\w-]+\.ts|node_modules\/@noble\/(ed25519|hashes)\/[\w-]+\.js)$/;

const IMPORTS = {
  '@noble/ed25519': '/node_modules/@noble/ed25519/index.js',
  '@noble/hashes/': '/node_modules/@noble/hashes/',
};

/**
 * Runs `script`, the text of a module, in the browser.
 *
 * @returns what it has given to `answer(…)`, through JSON
 * @throws  Error with what the page threw
 */
export async function inBrowser(script: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const server = createServer((request, response) => {
    void (async () => {
      if (request.method === 'POST') {
        const { answer, error } = JSON.parse(await textOf(request)) as Record<string, unknown>;
        if (error === undefined) resolve(answer);
        else reject(new Error(`in the browser: ${String(error)}`));
        response.end();
        return;
      }
      const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1');
      if (pathname === '/') {
        response.setHeader('content-type', 'text/html').end(pageOf(script));
      } else if (SERVED.test(pathname)) {
        const source = await readFile(path.join(PROJECT, pathname), 'utf8');
        const text = pathname.endsWith('.ts') ? stripTypeScriptTypes(source) : source;
        response.setHeader('content-type', 'text/javascript').end(text);
      } else {
        response.writeHead(404).end();
      }
    })();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const profile = await mkdtemp(path.join(tmpdir(), 'trustsql-browser-'));
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  const child = spawn(
    CHROMIUM!,
    [...flags, `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`],
    {
      stdio: 'ignore',
      detached: true,
    },
  );
  const closed = once(child, 'close');
  const timer = setTimeout(
    () => reject(new Error('no answer from the browser')),
    ANSWER_TIMEOUT_MS,
  );
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    // Its children as well: a group of its own.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await closed;
    server.closeAllConnections();
    server.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

function pageOf(script: string): string {
  return `<!doctype html><meta charset="utf-8"><title>trustsql</title>
<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>
<script type="module">
const send = (what) => fetch('/', { method: 'POST', body: JSON.stringify(what) });
const answer = (value) => send({ answer: value });
try {
${script}
} catch (error) {
  await send({ error: String(error?.stack ?? error) });
}
</script>`;
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
}
