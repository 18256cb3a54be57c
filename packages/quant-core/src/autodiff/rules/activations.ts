import type { GradientRule } from '../rule.js';

export const ACTIVATIONS_RULES: Readonly<Record<string, GradientRule>> = {};
