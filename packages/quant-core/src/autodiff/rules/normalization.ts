/** Normalization by statistics of the input itself, or by given ones. The algebra is in the file of each kind. */
import type { GradientRule } from '../rule.js';
import { batchNormalization } from './normalization/batch-normalization.js';
import { groupNormalization, instanceNormalization, layerNormalization } from './normalization/row-normalization.js';
import { logSoftmax, softmax } from './normalization/softmax.js';

export const NORMALIZATION_RULES: Readonly<Record<string, GradientRule>> = {
  BatchNormalization: batchNormalization,
  GroupNormalization: groupNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  LogSoftmax: logSoftmax,
  Softmax: softmax,
};
