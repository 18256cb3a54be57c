/**
 * The passes that make a network ready to be trained, in order: those of quantization without the ones that fold what is trained.
 * The network computes the same as before, up to float32 rounding.
 */
import { type Graph, type Model, NameAllocator } from '../ir/index.js';
import { removeUnused } from '../passes/edit-graph.js';
import { type FoldConstantsOptions, foldConstants } from '../passes/fold-constants.js';
import { unifyModel } from '../passes/prepare-model.js';
import { sumToAdd } from '../passes/sum-to-add.js';

/**
 * In place.
 * @throws TritforgeError MODEL_UNSUPPORTED_OPSET, MODEL_TOO_MANY_NODES, MODEL_TOO_DEEP
 */
export async function prepareForTraining(model: Model, options: FoldConstantsOptions): Promise<void> {
  await unifyModel(model);
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
