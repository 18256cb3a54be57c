import type { ReferenceOp } from './reference.js';

export const POOLING_REFERENCE: Readonly<Record<string, ReferenceOp>> = {};
