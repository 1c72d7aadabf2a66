// What the text form of a value depends on besides its type: the settings of a session. Types and defaults.

/** Settings of a session, in the words of SET. */
export interface ValueContext {
  /** A name that `tryTimeZone` knows. */
  readonly timeZone: string;
  readonly dateStyle: 'ISO' | 'SQL' | 'Postgres' | 'German';
  readonly dateOrder: 'MDY' | 'DMY' | 'YMD';
  readonly intervalStyle: 'postgres' | 'postgres_verbose' | 'sql_standard' | 'iso_8601';
  readonly byteaOutput: 'hex' | 'escape';
  /** Above 0 floats are printed in their shortest exact form, else with 15 (6) digits plus this. */
  readonly extraFloatDigits: number;
  /** Start of the transaction, microseconds from 2000-01-01 UTC: what 'now' and 'today' mean. */
  readonly nowMicros: bigint;
  /** Labels of an enum by its catalog id, or undefined; absent: labels are not checked. */
  readonly enumLabels?: (
    typeId: number,
  ) => { readonly name: string; readonly labels: ReadonlySet<string> } | undefined;
  /** The name that a regclass, regtype, … prints, or undefined: the number is printed. */
  readonly objectName?: (base: string, oid: bigint) => string | undefined;
  /** The OID that a name means as regclass, regtype, …; throws what Postgres throws when there is none. */
  readonly objectOid?: (base: string, name: string) => bigint;
}

/** The settings of a fresh session, at the epoch. */
export const DEFAULT_CONTEXT: ValueContext = {
  timeZone: 'UTC',
  dateStyle: 'ISO',
  dateOrder: 'MDY',
  intervalStyle: 'postgres',
  byteaOutput: 'hex',
  extraFloatDigits: 1,
  nowMicros: 0n,
};
