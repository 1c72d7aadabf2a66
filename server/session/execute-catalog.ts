// SELECTs that touch no ledger table: the analyst, which is Postgres, answers them. Shell.

import type { Datum } from '../../ledger/type.ts';
import { formatText } from '../../sql/value/text.ts';
import { CATALOG_QUERY_MS_MAX } from '../limits.ts';
import { BufferedRows } from '../readers/row-source.ts';
import type { SessionContext } from './context.ts';
import type { Outcome } from './execute.ts';
import { selectTag } from './execute-read.ts';
import { heldObjects } from './held-objects.ts';
import type { CatalogPlan, Prepared } from './plan.ts';
import { valueContext } from './value-context.ts';

const encoder = new TextEncoder();

export async function executeCatalogQuery(
  session: SessionContext,
  prepared: Prepared,
  plan: CatalogPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Promise<Outcome> {
  const context = valueContext(session);
  const values = parameters.map((value, i) =>
    value === null ? null : encoder.encode(formatText(value, prepared.parameterTypes[i]!, context)),
  );
  const timeout = session.settings.milliseconds('statement_timeout');
  const light = session.analysisContext();
  const call = session.services.analyst.catalogQuery(
    plan.text,
    prepared.parameterOids,
    values,
    [],
    formats,
    { ...light, settings: new Map([...light.settings, ...nodeSettings(session, plan.text)]) },
    timeout === 0 ? CATALOG_QUERY_MS_MAX : timeout,
  );
  session.stop.onStop((reason) => call.cancel(reason));
  try {
    const { dataRows, count } = await call.answer;
    return {
      kind: 'rows',
      columns: null,
      source: new BufferedRows(dataRows, count),
      tag: selectTag,
    };
  } finally {
    session.stop.onStop(() => {});
  }
}

/** What the analyst does not know of the node and its sessions, as settings of ours for the functions that ask for it. */
function nodeSettings(session: SessionContext, text: string): Map<string, string> {
  const settings = new Map<string, string>();
  if (/\bpg_(cursors?|prepared_statements?)\b/i.test(text)) {
    for (const [name, held] of heldObjects(session.statements, session.portals)) {
      settings.set(name, held);
    }
  }
  if (/\bpg_stat_/i.test(text)) {
    const rows = session.services.activity(session.currentRole);
    settings.set('trustsql.sessions', JSON.stringify(rows));
  }
  if (/\bpg_is_in_recovery\b/i.test(text)) {
    settings.set('trustsql.in_recovery', session.services.isReadOnly() ? 'on' : 'off');
  }
  if (/\binet_client_/i.test(text)) {
    const { client } = session.activity;
    settings.set('trustsql.client_addr', client.address);
    settings.set('trustsql.client_port', String(client.port));
  }
  return settings;
}
