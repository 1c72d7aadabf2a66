// RESTART in ALTER SEQUENCE and in ALTER TABLE … ALTER COLUMN: where a sequence stands is no part of the catalog,
// so it is an operation of its own, next to the catalog's. Shell: asks the analyst for names.

import type { Sequence } from '../../ledger/catalog.ts';
import type { ParsedStatement, RawNode } from '../../sql/parse.ts';
import type { SessionContext } from './context.ts';
import type { OpenTransaction } from './open-transaction.ts';

interface Option {
  readonly DefElem: {
    readonly defname: string;
    readonly arg?: {
      readonly Integer?: { readonly ival?: number };
      readonly Float?: { readonly fval: string };
    };
  };
}

interface Command {
  readonly AlterTableCmd: {
    readonly subtype: string;
    readonly name: string;
    readonly def?: { readonly List?: { readonly items: readonly Option[] } };
  };
}

/** Moves the sequences that a DDL statement restarts; the analyst has checked their bounds. */
export async function restartSequences(
  session: SessionContext,
  transaction: OpenTransaction,
  { kind, tree }: ParsedStatement,
): Promise<void> {
  if (kind === 'AlterSeqStmt') {
    const option = restartOf(tree['options'] as readonly Option[] | undefined);
    if (option === undefined) return;
    const sequence = session.catalog.relations.get(
      await named(session, tree['sequence'] as RawNode),
    );
    if (sequence?.kind === 'sequence') restart(transaction, sequence, option);
  }
  if (kind !== 'AlterTableStmt') return;
  for (const { AlterTableCmd: command } of tree['cmds'] as readonly Command[]) {
    if (command.subtype !== 'AT_SetIdentity') continue;
    const option = restartOf(command.def?.List?.items);
    if (option === undefined) continue;
    const table = session.catalog.relations.get(await named(session, tree['relation'] as RawNode));
    if (table?.kind !== 'table') continue;
    const column = table.columns.find(({ name }) => name === command.name);
    for (const each of session.catalog.relations.values()) {
      const owner = each.kind === 'sequence' ? each.ownedBy : null;
      if (owner?.relation === table.id && owner.column === column?.id) {
        restart(transaction, each as Sequence, option);
      }
    }
  }
}

function restartOf(options: readonly Option[] = []): Option | undefined {
  return options.find(({ DefElem }) => DefElem.defname === 'restart');
}

function named(session: SessionContext, range: RawNode): Promise<number> {
  const { schemaname, relname } = range as { schemaname?: string; relname: string };
  return session.services.analyst.relationId(schemaname, relname, session.analysisContext());
}

function restart(
  transaction: OpenTransaction,
  sequence: Sequence,
  { DefElem: { arg } }: Option,
): void {
  const last =
    arg === undefined ? sequence.start : BigInt(arg.Float?.fval ?? arg.Integer?.ival ?? 0);
  transaction.moveSequence(sequence.id, { last, called: false });
}
