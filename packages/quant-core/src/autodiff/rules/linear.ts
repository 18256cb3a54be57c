import type { GradientRule } from '../rule.js';

export const LINEAR_RULES: Readonly<Record<string, GradientRule>> = {};
