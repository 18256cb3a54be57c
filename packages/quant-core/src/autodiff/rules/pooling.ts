/**
 * Pools, and resizing, which is their counterpart.
 *
 *   MaxPool, GlobalMaxPool            pooling/max-pool.ts
 *   AveragePool, GlobalAveragePool    pooling/average-pool.ts
 *   Resize                            pooling/resize.ts
 */
import type { GradientRule } from '../rule.js';
import { averagePool, globalAveragePool } from './pooling/average-pool.js';
import { globalMaxPool, maxPool } from './pooling/max-pool.js';
import { resize } from './pooling/resize.js';

export const POOLING_RULES: Readonly<Record<string, GradientRule>> = {
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  GlobalMaxPool: globalMaxPool,
  MaxPool: maxPool,
  Resize: resize,
};
