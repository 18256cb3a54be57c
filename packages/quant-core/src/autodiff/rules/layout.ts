import type { GradientRule } from '../rule.js';

export const LAYOUT_RULES: Readonly<Record<string, GradientRule>> = {};
