// The session's settings as the value codecs want them. Pure, cached by session.

import type { Catalog } from '../../ledger/catalog.ts';
import type { ValueContext } from '../../sql/value/context.ts';
import { enumLabels } from '../readers/enum-labels.ts';
import type { SessionImage } from '../readers/messages.ts';
import type { SessionContext } from './context.ts';

type Cached = {
  readonly revision: number;
  readonly catalog: Catalog;
  readonly context: ValueContext;
};

const cache = new WeakMap<SessionContext, Cached>();

export function valueContext(session: SessionContext): ValueContext {
  const { settings, catalog } = session;
  const { revision } = settings;
  const found = cache.get(session);
  if (found?.revision === revision && found.catalog === catalog) return found.context;
  const [style, order] = settings.get('datestyle').split(', ') as [
    ValueContext['dateStyle'],
    ValueContext['dateOrder'],
  ];
  const context: ValueContext = {
    timeZone: settings.get('timezone'),
    dateStyle: style,
    dateOrder: order,
    intervalStyle: settings.get('intervalstyle') as ValueContext['intervalStyle'],
    byteaOutput: settings.get('bytea_output') as ValueContext['byteaOutput'],
    extraFloatDigits: Number(settings.get('extra_float_digits')),
    get nowMicros() {
      return session.nowMicros;
    },
    enumLabels: (id) => enumLabels(catalog, id),
  };
  cache.set(session, { revision, catalog, context });
  return context;
}

/** What a reader process needs of it. */
export function sessionImage(session: SessionContext): SessionImage {
  const {
    timeZone,
    dateStyle,
    dateOrder,
    intervalStyle,
    byteaOutput,
    extraFloatDigits,
    nowMicros,
  } = valueContext(session);
  return {
    timeZone,
    dateStyle,
    dateOrder,
    intervalStyle,
    byteaOutput,
    extraFloatDigits,
    nowMicros,
  };
}
