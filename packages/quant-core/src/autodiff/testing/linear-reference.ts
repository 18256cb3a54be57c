import type { ReferenceOp } from './reference.js';

export const LINEAR_REFERENCE: Readonly<Record<string, ReferenceOp>> = {};
