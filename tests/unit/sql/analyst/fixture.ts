// A catalog with an admin and schema public, and a mirror or an analyst that follows it.

import { EMPTY_CATALOG, ID, applyChanges } from '../../../../ledger/catalog.ts';
import type { Catalog, Relation, Role } from '../../../../ledger/catalog.ts';
import type { AnalysisContext, DdlAnalysis, DdlRecord } from '../../../../sql/analysis.ts';
import { Mirror } from '../../../../sql/analyst/mirror.ts';

export const SEARCH_PATH = '"$user", public';

const ADMIN: Role = {
  id: ID.adminRole,
  name: 'admin',
  superuser: true,
  login: true,
  inherit: true,
  createRole: true,
  createDatabase: true,
  connectionLimit: -1,
  validUntil: null,
  memberOf: [],
  publicKey: null,
  custody: null,
  verifierCommitment: null,
};

export function genesisCatalog(): Catalog {
  const admin = ID.adminRole;
  const grants = [
    { grantee: 0, grantor: admin, privileges: 'U', grantable: '' },
    { grantee: admin, grantor: admin, privileges: 'CU', grantable: '' },
  ];
  return applyChanges(EMPTY_CATALOG, [
    { put: 'role', object: ADMIN },
    { put: 'schema', object: { id: ID.publicSchema, name: 'public', owner: admin, grants } },
  ]);
}

export function contextOf(changes: Partial<AnalysisContext> = {}): AnalysisContext {
  return {
    role: 'admin',
    sessionRole: 'admin',
    searchPath: SEARCH_PATH,
    pendingDdl: [],
    settings: new Map([['timezone', 'UTC']]),
    ...changes,
  };
}

export function ddlRecord(text: string): DdlRecord {
  return { role: 'admin', searchPath: SEARCH_PATH, text };
}

/** A mirror whose DDL goes through analysis, the catalog and back, as on a node. */
export class FollowedMirror {
  readonly mirror: Mirror;
  readonly records: DdlRecord[] = [];
  catalog: Catalog = genesisCatalog();

  private constructor(mirror: Mirror) {
    this.mirror = mirror;
  }

  static async start(): Promise<FollowedMirror> {
    const followed = new FollowedMirror(await Mirror.start('ledger'));
    followed.mirror.load(followed.catalog, [], 4);
    return followed;
  }

  ddl(text: string, context: AnalysisContext = contextOf()): DdlAnalysis {
    const analysis = this.mirror.analyseDdl(text, context);
    this.catalog = applyChanges(this.catalog, analysis.changes);
    const record = { ...ddlRecord(text), role: context.role };
    this.mirror.applyDdl([record], this.catalog);
    this.records.push(record);
    return analysis;
  }

  relation(name: string): Relation {
    const found = [...this.catalog.relations.values()].find((relation) => relation.name === name);
    if (found === undefined) throw new Error(`no relation ${name}`);
    return found;
  }
}
