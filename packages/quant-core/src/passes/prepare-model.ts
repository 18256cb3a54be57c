/** START HERE: the passes that make a model ready to be quantized, in order. Each is described in its own file. */
import { type Model, topologicalOrder } from '../ir/index.js';
import { constantsToInitializers } from './constants-to-initializers.js';
import { removeUnused } from './edit-graph.js';
import { eliminateIdentity } from './eliminate-identity.js';
import { foldAffine } from './fold-affine.js';
import { type FoldConstantsOptions, foldConstants } from './fold-constants.js';
import { inlineFunctions } from './inline-functions.js';
import { matmulToGemm } from './matmul-to-gemm.js';
import { normalizeGemm } from './normalize-gemm.js';
import { plainInitializers } from './plain-initializers.js';
import { sumToAdd } from './sum-to-add.js';
import { tieTables } from './tie-tables.js';
import { upgradeOpset } from './upgrade-opset/upgrade-opset.js';

/**
 * Runs all passes, in place. The model computes the same as before, up to float32 rounding.
 * @throws TritforgeError MODEL_UNSUPPORTED_OPSET, MODEL_TOO_MANY_NODES, MODEL_TOO_DEEP
 */
export async function prepareModel(model: Model, options: FoldConstantsOptions): Promise<void> {
  await unifyModel(model);
  const stored = new Set(model.graph.initializers.keys());
  await foldConstants(model, options);
  sumToAdd(model);
  await matmulToGemm(model);
  await normalizeGemm(model, options.scratch);
  await foldAffine(model, options.scratch);
  await tieTables(model, stored);
  removeUnused(model);
}

/**
 * The passes that everything begins with, in place: one graph in order, of constants that are stored as constants and operators of one
 * opset.
 * @throws TritforgeError MODEL_UNSUPPORTED_OPSET, MODEL_TOO_MANY_NODES, MODEL_TOO_DEEP
 */
export async function unifyModel(model: Model): Promise<void> {
  plainInitializers(model);
  inlineFunctions(model);
  model.graph.nodes = topologicalOrder(model.graph.nodes);
  constantsToInitializers(model);
  await eliminateIdentity(model);
  await upgradeOpset(model);
}
