import type { GradientRule } from '../rule.js';

export const CONVOLUTION_RULES: Readonly<Record<string, GradientRule>> = {};
