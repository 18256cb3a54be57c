import type { GradientRule } from '../rule.js';

export const POOLING_RULES: Readonly<Record<string, GradientRule>> = {};
