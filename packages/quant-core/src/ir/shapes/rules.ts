import { CONVOLUTION_RULES } from './convolution.js';
import { ELEMENTWISE_RULES } from './elementwise.js';
import { GENERATION_RULES } from './generation.js';
import { INDEXING_RULES } from './indexing.js';
import { LAYOUT_RULES } from './layout.js';
import { MATRIX_RULES } from './matrix.js';
import { NORMALIZATION_RULES } from './normalization.js';
import { QUANTIZATION_RULES } from './quantization.js';
import { RECURRENT_RULES } from './recurrent.js';
import { REDUCTION_RULES } from './reduction.js';
import { RESIZING_RULES } from './resizing.js';
import type { ShapeRule } from './rule.js';

/** Shape rules by operator, one family per file. Names are the same in the standard domain and in com.microsoft. */
export const SHAPE_RULES: ReadonlyMap<string, ShapeRule> = new Map(
  Object.entries({
    ...CONVOLUTION_RULES,
    ...ELEMENTWISE_RULES,
    ...GENERATION_RULES,
    ...INDEXING_RULES,
    ...LAYOUT_RULES,
    ...MATRIX_RULES,
    ...NORMALIZATION_RULES,
    ...QUANTIZATION_RULES,
    ...RECURRENT_RULES,
    ...REDUCTION_RULES,
    ...RESIZING_RULES,
  }),
);
