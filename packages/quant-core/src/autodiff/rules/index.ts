/** All gradient rules, by operator of the standard domain. One file per family has the algebra. */
import type { GradientRule } from '../rule.js';
import { ACTIVATIONS_RULES } from './activations.js';
import { CONVOLUTION_RULES } from './convolution.js';
import { ELEMENTWISE_RULES } from './elementwise.js';
import { INDEXING_RULES } from './indexing.js';
import { LAYOUT_RULES } from './layout.js';
import { LINEAR_RULES } from './linear.js';
import { NORMALIZATION_RULES } from './normalization.js';
import { POOLING_RULES } from './pooling.js';
import { QUANTIZATION_RULES } from './quantization.js';
import { REDUCTIONS_RULES } from './reductions.js';

export const GRADIENT_RULES: Readonly<Record<string, GradientRule>> = {
  ...ACTIVATIONS_RULES,
  ...CONVOLUTION_RULES,
  ...ELEMENTWISE_RULES,
  ...INDEXING_RULES,
  ...LAYOUT_RULES,
  ...LINEAR_RULES,
  ...NORMALIZATION_RULES,
  ...POOLING_RULES,
  ...QUANTIZATION_RULES,
  ...REDUCTIONS_RULES,
};
