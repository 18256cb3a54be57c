import type { Model } from '../ir/index.js';
import { type ModelLimits, modelLimits } from './limits.js';
import { checkDeclaredSizes } from './validate/declared-sizes.js';
import { checkFiniteWeights } from './validate/finite-weights.js';
import { checkFunctionExpansion } from './validate/function-calls.js';
import { checkOperators } from './validate/operators-known.js';
import { checkStructure } from './validate/structure.js';
import { checkSubByteActivations } from './validate/sub-byte.js';
import { checkVersions } from './validate/versions.js';

/**
 * Refuses models that onnxruntime cannot load, that would damage its memory, or that would never end, before anything
 * runs. The order matters: later checks rely on what earlier ones have made sure. Only the last one reads the weights.
 *
 * @throws TritforgeError MODEL_UNSUPPORTED_OPSET, MODEL_NO_OUTPUT, MODEL_INVALID, MODEL_CYCLIC, MODEL_TOO_DEEP,
 *   MODEL_TOO_MANY_NODES, MODEL_UNKNOWN_DOMAIN, MODEL_UNKNOWN_OPERATOR, MODEL_UNSUPPORTED_DTYPE,
 *   MODEL_TENSOR_TOO_LARGE, MODEL_NONFINITE_WEIGHTS
 */
export async function validateModel(model: Model, limits: Partial<ModelLimits> = {}): Promise<void> {
  const all = modelLimits(limits);
  checkVersions(model);
  checkStructure(model, all);
  checkFunctionExpansion(model, all);
  checkOperators(model);
  checkSubByteActivations(model);
  checkDeclaredSizes(model, all);
  await checkFiniteWeights(model);
}
