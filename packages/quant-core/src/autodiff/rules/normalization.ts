import type { GradientRule } from '../rule.js';

export const NORMALIZATION_RULES: Readonly<Record<string, GradientRule>> = {};
