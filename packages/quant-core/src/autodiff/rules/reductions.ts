import type { GradientRule } from '../rule.js';

export const REDUCTIONS_RULES: Readonly<Record<string, GradientRule>> = {};
