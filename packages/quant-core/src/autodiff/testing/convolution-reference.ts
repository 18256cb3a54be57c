import type { ReferenceOp } from './reference.js';

export const CONVOLUTION_REFERENCE: Readonly<Record<string, ReferenceOp>> = {};
