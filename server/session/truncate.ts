// Placeholder for a moment: whoever owns this file overwrites it.
export async function truncate(..._a: unknown[]): Promise<string> { throw new Error('later'); }
