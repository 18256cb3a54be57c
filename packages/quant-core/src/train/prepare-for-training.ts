/**
 * The passes that make a network ready to be trained, in order: those of quantization without the ones that fold what is trained.
 * The network computes the same as before, up to float32 rounding.
 */
import { type Graph, type Model, NameAllocator, topologicalOrder } from '../ir/index.js';
import { constantsToInitializers } from '../passes/constants-to-initializers.js';
import { removeUnused } from '../passes/edit-graph.js';
import { eliminateIdentity } from '../passes/eliminate-identity.js';
import { type FoldConstantsOptions, foldConstants } from '../passes/fold-constants.js';
import { inlineFunctions } from '../passes/inline-functions.js';
import { plainInitializers } from '../passes/plain-initializers.js';
import { sumToAdd } from '../passes/sum-to-add.js';
import { upgradeOpset } from '../passes/upgrade-opset/upgrade-opset.js';

/**
 * In place.
 * @throws TritforgeError MODEL_UNSUPPORTED_OPSET, MODEL_TOO_MANY_NODES, MODEL_TOO_DEEP
 */
export async function prepareForTraining(model: Model, options: FoldConstantsOptions): Promise<void> {
  plainInitializers(model);
  inlineFunctions(model);
  model.graph.nodes = topologicalOrder(model.graph.nodes);
  constantsToInitializers(model);
  await eliminateIdentity(model);
  await upgradeOpset(model);
  await foldConstants(model, options);
  sumToAdd(model);
  separateNormalizations(model.graph, new NameAllocator(model));
  removeUnused(model);
}

/** Exporters store equal constants once; gains, biases and statistics of two normalizations are equal only before training. */
function separateNormalizations(graph: Graph, names: NameAllocator): void {
  const taken = new Set<string>();
  for (const node of graph.nodes) {
    if (node.opType !== 'BatchNormalization' || node.domain !== '') continue;
    node.inputs = node.inputs.map((name) => {
      const tensor = graph.initializers.get(name);
      if (tensor === undefined || !taken.has(name)) {
        taken.add(name);
        return name;
      }
      const own = names.value(name);
      graph.initializers.set(own, tensor);
      return own;
    });
  }
}
