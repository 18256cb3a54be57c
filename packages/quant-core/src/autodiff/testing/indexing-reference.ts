import type { ReferenceOp } from './reference.js';

export const INDEXING_REFERENCE: Readonly<Record<string, ReferenceOp>> = {};
