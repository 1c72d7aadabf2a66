// The labels of enum types as the value codecs look them up. Pure, cached by type object.

import type { Catalog } from '../../ledger/catalog.ts';

const labelSets = new WeakMap<object, { name: string; labels: ReadonlySet<string> }>();

export function enumLabels(catalog: Catalog, id: number) {
  const type = catalog.types.get(id);
  if (type?.kind !== 'enum') return undefined;
  let labels = labelSets.get(type);
  if (labels === undefined)
    labelSets.set(type, (labels = { name: type.name, labels: new Set(type.labels) }));
  return labels;
}
