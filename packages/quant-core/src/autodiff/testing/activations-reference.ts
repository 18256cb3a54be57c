import type { ReferenceOp } from './reference.js';

export const ACTIVATIONS_REFERENCE: Readonly<Record<string, ReferenceOp>> = {};
