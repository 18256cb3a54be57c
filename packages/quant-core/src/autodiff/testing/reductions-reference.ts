import type { ReferenceOp } from './reference.js';

export const REDUCTIONS_REFERENCE: Readonly<Record<string, ReferenceOp>> = {};
