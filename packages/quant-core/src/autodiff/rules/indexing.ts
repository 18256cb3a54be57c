import type { GradientRule } from '../rule.js';

export const INDEXING_RULES: Readonly<Record<string, GradientRule>> = {};
