// How many point reads a second the wire carries, with nothing behind it.
//
//     node benchmarks/wire.ts [clients] [seconds] [prepared|simple]
//
// The session answers one finished row inline, so this is the ceiling of the main thread: framing, decoding,
// answering, socket. pgbench (of Debian's postgresql) drives it with the statement of `pgbench -S`.

import { spawn } from 'node:child_process';
import { deriveVerifier } from '../identity/password.ts';
import type { Backend, ColumnDescription, ResultSink, Session } from '../server/pgwire/backend.ts';
import { Listener } from '../server/pgwire/listener.ts';

const [clients = '16', seconds = '5', mode = 'prepared'] = process.argv.slice(2);
const PASSWORD = 'bench';

const columns: ColumnDescription[] = [
  { name: 'abalance', tableOid: 0, columnNumber: 0, typeOid: 23, typeSize: 4, typmod: -1 },
];
// DataRow: one column, the text 0.
const row = Buffer.from([0x44, 0, 0, 0, 11, 0, 1, 0, 0, 0, 1, 0x30]);

class PointReads implements Session {
  readonly status = 'I';
  readonly processId = 1;
  readonly secretKey = 1;
  #told = false;
  takeChangedParameters(): readonly (readonly [string, string])[] {
    if (this.#told) return [];
    this.#told = true;
    return [['server_version', '15.18']];
  }
  parse(): void {}
  bind(): void {}
  describeStatement(): { parameterOids: number[]; columns: ColumnDescription[] } {
    return { parameterOids: [23], columns };
  }
  describePortal(): { columns: ColumnDescription[]; formats: number[] } {
    return { columns, formats: [] };
  }
  execute(_portal: string, _rowsMax: number, sink: ResultSink): 'complete' {
    sink.rows(row);
    sink.commandComplete('SELECT 1');
    return 'complete';
  }
  closeStatement(): void {}
  closePortal(): void {}
  flush(): void {}
  sync(): void {}
  query(_text: string, sink: ResultSink): void {
    sink.columns(columns, []);
    sink.rows(row);
    sink.commandComplete('SELECT 1');
  }
  cancel(): void {}
  async close(): Promise<void> {}
}

const verifier = deriveVerifier(PASSWORD, Buffer.alloc(16), 4096);
const backend: Backend = {
  verifier: () => verifier,
  open: () => new PointReads(),
  cancel: () => {},
};

const listener = await Listener.listen({
  backend,
  host: '127.0.0.1',
  port: 0,
  connectionsMax: 1000,
  secret: Buffer.alloc(32),
  log: (event, fields) => console.error(event, fields),
});
const flags = ['-h', '127.0.0.1', '-p', String(listener.port), '-U', 'bench', '-n', '-f', '-'];
const pgbench = spawn(
  'pgbench',
  [...flags, '-M', mode, '-c', clients, '-j', '2', '-T', seconds, 'bench'],
  {
    env: { ...process.env, PGPASSWORD: PASSWORD, PGSSLMODE: 'disable' },
    stdio: ['pipe', 'inherit', 'inherit'],
  },
);
// -S itself would ask the server for its tables first.
pgbench.stdin.end(
  '\\set aid random(1, 100000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n',
);
await new Promise((resolve) => pgbench.once('exit', resolve));
await listener.close(1000);
