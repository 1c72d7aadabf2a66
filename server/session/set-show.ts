// SET, RESET, SHOW, DISCARD. Pure over the session.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { RawNode } from '../../sql/parse.ts';
import { formatInterval, parseInterval } from '../../sql/value/interval-text.ts';
import { fixedZoneSetting } from '../../sql/value/time-zone.ts';
import type { SessionContext } from './context.ts';
import type { Outcome } from './execute.ts';
import type { Session } from './session.ts';
import { rowsOutcome, textColumns } from './text-rows.ts';
import { valueContext } from './value-context.ts';
import { applyTransactionModes, transactionModes } from './transaction-commands.ts';

type Constant = {
  readonly A_Const?: {
    readonly sval?: { readonly sval?: string };
    readonly ival?: { readonly ival?: number };
    readonly fval?: { readonly fval?: string };
    readonly boolval?: { readonly boolval?: boolean };
  };
  /** SET TIME ZONE INTERVAL '…'. */
  readonly TypeCast?: {
    readonly arg: Constant;
    readonly typeName: { readonly typmods?: readonly Constant[] };
  };
};

/** INTERVAL_FULL_PRECISION of Postgres: no number of digits is given. */
const ANY_PRECISION = 0xffff;
const MICROS_PER_SECOND = 1_000_000n;

/**
 * SET TIME ZONE INTERVAL '…': the zone so far east of UTC.
 *
 * @throws SqlError 22023
 */
function intervalZone(
  session: SessionContext,
  { arg, typeName }: NonNullable<Constant['TypeCast']>,
): string {
  const fields = typeName.typmods?.[0]?.A_Const?.ival?.ival;
  const typmod = fields === undefined ? -1 : (fields << 16) | ANY_PRECISION;
  const context = valueContext(session);
  const interval = parseInterval(argumentText(arg), typmod, context);
  const zone = fixedZoneSetting(Number(interval.micros / MICROS_PER_SECOND));
  if (interval.months === 0 && interval.days === 0 && zone !== undefined) return zone;
  const shown = formatInterval(interval, context);
  const unit = interval.months === 0 ? 'days' : 'months';
  throw new SqlError(
    SQLSTATE.invalidParameterValue,
    `invalid value for parameter "TimeZone": "INTERVAL '${shown}'"`,
    {
      detail:
        zone === undefined
          ? 'UTC timezone offset is out of range.'
          : `Cannot specify ${unit} in time zone interval.`,
    },
  );
}

/** The text of one argument of SET. */
function argumentText(argument: Constant): string {
  const constant = argument.A_Const;
  if (constant?.sval !== undefined) return constant.sval.sval ?? '';
  if (constant?.ival !== undefined) return String(constant.ival.ival ?? 0);
  if (constant?.fval !== undefined) return constant.fval.fval ?? '0';
  return constant?.boolval?.boolval === true ? 'on' : 'off';
}

/** An item of a list setting as SHOW prints it. */
function listItem(text: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

export function setVariable(session: SessionContext, tree: RawNode): string {
  const kind = tree['kind'] as string;
  const name = (tree['name'] as string | undefined) ?? '';
  const local = tree['is_local'] === true;
  const args = (tree['args'] as readonly Constant[] | undefined) ?? [];
  if (local && session.transaction?.explicit !== true) {
    session.notice(
      'WARNING',
      SQLSTATE.noActiveSqlTransaction,
      'SET LOCAL can only be used in transaction blocks',
    );
  }
  switch (kind) {
    case 'VAR_SET_MULTI':
      setModes(session, name, args as unknown as readonly RawNode[]);
      return 'SET';
    case 'VAR_RESET_ALL':
      session.settings.resetAll();
      return 'RESET';
    case 'VAR_SET_DEFAULT':
    case 'VAR_RESET':
      if (name === 'role' || name === 'session_authorization') session.assumeRole(null);
      else session.settings.reset(name);
      return kind === 'VAR_RESET' ? 'RESET' : 'SET';
    case 'VAR_SET_CURRENT':
      session.settings.set(name, session.settings.get(name), local);
      return 'SET';
    default:
      setValue(session, name, args, local);
      return 'SET';
  }
}

function setValue(
  session: SessionContext,
  name: string,
  args: readonly Constant[],
  local: boolean,
): void {
  const texts = args.map((argument) =>
    argument.TypeCast === undefined
      ? argumentText(argument)
      : intervalZone(session, argument.TypeCast),
  );
  if (name === 'role') return session.assumeRole(texts[0] === 'none' ? null : texts[0]!, local);
  if (name === 'session_authorization') {
    if (texts[0] !== session.sessionRole.name && !session.sessionRole.superuser) {
      throw new SqlError(
        SQLSTATE.insufficientPrivilege,
        'permission denied to set session authorization',
      );
    }
    return session.assumeRole(texts[0] ?? null, local);
  }
  const value = name === 'search_path' ? texts.map(listItem).join(', ') : texts.join(', ');
  session.setSetting(name, value, local);
}

function setModes(session: SessionContext, name: string, args: readonly RawNode[]): void {
  if (name === 'TRANSACTION') {
    if (session.transaction?.explicit !== true) {
      session.notice(
        'WARNING',
        SQLSTATE.noActiveSqlTransaction,
        'SET TRANSACTION can only be used in transaction blocks',
      );
    }
    applyTransactionModes(session, args);
  } else if (name === 'SESSION CHARACTERISTICS') {
    for (const mode of transactionModes(args))
      session.settings.set(`default_${mode.name}`, mode.value);
  } else {
    throw new SqlError(SQLSTATE.featureNotSupported, `SET ${name} is not supported`, {
      hint: 'Snapshots cannot be exported; use ledger.as_of to look at one height from several sessions.',
    });
  }
}

export function showVariable(
  session: SessionContext,
  tree: RawNode,
  formats: readonly number[],
): Outcome {
  const name = tree['name'] as string;
  if (name === 'all') {
    const rows = session.settings.names().map((each) => [each, shown(session, each), '']);
    return rowsOutcome(
      session,
      textColumns('name', 'setting', 'description'),
      formats,
      rows,
      'SHOW',
    );
  }
  const described = textColumns(session.settings.displayName(name));
  return rowsOutcome(session, described, formats, [[shown(session, name)]], 'SHOW');
}

/** A setting's value as SHOW prints it. */
export function shown(session: SessionContext, name: string): string {
  const { transaction, settings } = session;
  switch (name.toLowerCase()) {
    case 'transaction_isolation':
      return transaction?.isolationName ?? settings.get('default_transaction_isolation');
    case 'transaction_read_only':
      if (session.services.isReadOnly()) return 'on';
      return transaction === null
        ? settings.get('default_transaction_read_only')
        : transaction.readOnly
          ? 'on'
          : 'off';
    case 'role':
      return session.assumedRole ?? 'none';
    default:
      return settings.get(name);
  }
}

export function discardAll(session: Session, tree: RawNode): string {
  const { context } = session;
  const target = tree['target'] as string;
  const word = target.replace('DISCARD_', '');
  if (target !== 'DISCARD_ALL') return `DISCARD ${word}`;
  if (context.transaction?.explicit === true) {
    throw new SqlError(
      SQLSTATE.activeSqlTransaction,
      'DISCARD ALL cannot run inside a transaction block',
    );
  }
  for (const name of [...session.portals.keys()]) if (name !== '') session.dropPortal(name);
  for (const name of [...session.statements.keys()])
    if (name !== '') session.statements.delete(name);
  context.assumeRole(null);
  context.settings.resetAll();
  context.services.locks.releaseAll(context);
  context.drawn.clear();
  context.lastDrawn = null;
  return 'DISCARD ALL';
}
