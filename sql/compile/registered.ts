// How the compiler writes calls of registered SQLite functions. Pure.

/** Prefix of everything we register, so that nothing shadows SQLite's own. */
export const PREFIX = 'pg_';

export function call(name: string, args: readonly string[]): string {
  return `${PREFIX}${name}(${args.join(', ')})`;
}
