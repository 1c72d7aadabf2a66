// What a statement asks of its session: the time, the user, settings, sequences. Pure.
//
// The time and the user are parameters that the caller binds (sql/query.ts), so that a reader process needs
// no session; what needs more is a registered function that only the session's own process has.

import { registered } from './call.ts';
import { call } from './registered.ts';
import { quote, typeCode } from './representation.ts';
import { parameter } from './scope.ts';
import { sqlType } from '../../ledger/type.ts';
import { scalar, typed } from './scalar.ts';
import type { Scalar } from '../ir.ts';
import type { Scope } from './scope.ts';

type Call = Extract<Scalar, { kind: 'call' }>;

/** CURRENT_USER, CURRENT_DATE and the like. */
export function sessionValue(node: Extract<Scalar, { kind: 'session' }>, scope: Scope): string {
  const { shared } = scope;
  const name = node.name.replace(/\s*\(.*$/, '').replace(/_n$/, '');
  switch (name) {
    case 'current_user':
    case 'current_role':
    case 'user':
      return parameter(shared, 'user');
    case 'session_user':
      return parameter(shared, 'session_user');
    case 'current_date':
      return parameter(shared, 'today');
    case 'current_timestamp':
    case 'localtimestamp':
    case 'current_time':
    case 'localtime': {
      const now = parameter(shared, 'now');
      return call('now_as', [now, quote(typeCode(node.type))]);
    }
    default:
      shared.sessionFunctions.add(name);
      return call(name, []);
  }
}

/** Calls that need no registered function, or one that takes parameters of the session. */
export function sessionCall(node: Call, scope: Scope): string | null {
  const { shared } = scope;
  switch (node.fn.symbol) {
    case 'now':
      return parameter(shared, 'now');
    case 'current_user':
      return parameter(shared, 'user');
    case 'session_user':
      return parameter(shared, 'session_user');
    case 'timestamptz_age':
      return null;
    default:
      break;
  }
  // Of a timestamp; age(xid) counts transactions, which have no numbers here.
  if (node.fn.symbol === 'age' && node.args.length === 1) {
    const zoned = node.args[0]!.type.base === 'timestamptz';
    const type = sqlType(zoned ? 'timestamptz' : 'timestamp');
    const midnight = `(${parameter(shared, 'today')} * 86400000000)`;
    const fn = { ...node.fn, symbol: zoned ? 'timestamptz_age' : 'timestamp_age' };
    const today = zoned ? call('timestamp_timestamptz', [midnight]) : midnight;
    return registered(
      { fn, type: node.type },
      [{ text: today, type }, typed(node.args[0]!, scope)],
      scope,
    );
  }
  if (node.fn.symbol === 'pg_typeof') {
    const arg = node.args[0]!;
    return call('typeof', [quote(typeCode(arg.type)), scalar(arg, scope)]);
  }
  return null;
}
