// A SELECT of nothing, for queries of our own to begin with. Pure.

import type { Query } from './ir.ts';

export const EMPTY_SELECT: Query = {
  command: 'select',
  entries: [],
  target: 0,
  from: [],
  where: null,
  targets: [],
  returning: [],
  group: [],
  groupDistinct: false,
  groupingSets: null,
  having: null,
  aggregates: false,
  windows: [],
  distinct: [],
  distinctOn: false,
  sort: [],
  offset: null,
  limit: null,
  withTies: false,
  set: null,
  ctes: [],
  locks: [],
  onConflict: null,
  overriding: 'none',
  privileges: [],
};
