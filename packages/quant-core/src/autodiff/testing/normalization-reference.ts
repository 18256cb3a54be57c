import type { ReferenceOp } from './reference.js';

export const NORMALIZATION_REFERENCE: Readonly<Record<string, ReferenceOp>> = {};
