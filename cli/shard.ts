// `trustsql shard list`: the files that hold the state, with sizes, heights and tables. Shell.

import { runSql } from './sql.ts';

export async function listShards(options: {
  readonly data: string;
  readonly url?: string;
  readonly json?: boolean;
}): Promise<void> {
  await runSql('SELECT * FROM ledger.shards', options);
}
