import { floatValue, intValue, type Model, NameAllocator } from '../ir/index.js';

/** The oldest opset whose BatchNormalization may be told to train. Nothing else that we read changed since opset 13 but in its types. */
const TRAINING_OPSET = 15;
const TRAINING_IR_VERSION = 8;
/** Share of the running statistics that a step keeps. */
const MOMENTUM = 0.9;

/**
 * The network with each BatchNormalization in training mode: normalized by the mean and variance of the batch, which also move the
 * running ones a tenth of the way. Nodes that stay are shared.
 * @param model of opset 13 or newer
 */
export function normalizeByBatch(model: Model): Model {
  const names = new NameAllocator(model);
  const nodes = model.graph.nodes.map((node) => {
    if (node.domain !== '' || node.opType !== 'BatchNormalization') return node;
    const y = node.outputs[0]!;
    const running = ['running_mean', 'running_variance'].map((what) => names.value(`${y}_${what}`));
    return {
      ...node,
      outputs: [y, ...running],
      attributes: new Map([...node.attributes, ['training_mode', intValue(1)], ['momentum', floatValue(MOMENTUM)]]),
    };
  });
  const opset = Math.max(model.opsetImports.get('')!, TRAINING_OPSET);
  return {
    ...model,
    irVersion: Math.max(model.irVersion, TRAINING_IR_VERSION),
    opsetImports: new Map(model.opsetImports).set('', opset),
    graph: { ...model.graph, nodes },
  };
}
