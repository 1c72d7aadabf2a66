// Placeholder for a moment: whoever owns this file overwrites it.
export function stampOfText(..._a: unknown[]): bigint { throw new Error('later'); }
