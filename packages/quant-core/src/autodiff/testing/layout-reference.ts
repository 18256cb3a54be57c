import type { ReferenceOp } from './reference.js';

export const LAYOUT_REFERENCE: Readonly<Record<string, ReferenceOp>> = {};
