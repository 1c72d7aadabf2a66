// The end of a consensus at a block whose rules another kind takes over with: solo to a cluster, or back. Pure.
//
// It has ordered everything up to that block and orders nothing more. What was put up and is in none of its blocks is
// refused with this, and nowhere else: so whoever put it up may put it up again with its successor.

export class HandedOver extends Error {
  override readonly name = 'HandedOver';
}

export function isHandedOver(error: unknown): error is HandedOver {
  return Error.isError(error) && error.name === 'HandedOver';
}
