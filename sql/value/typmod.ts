// Type modifiers, where sql/ looks for them; the rules are the ledger's. Pure.

export { applyTypmod } from '../../ledger/typmod.ts';
