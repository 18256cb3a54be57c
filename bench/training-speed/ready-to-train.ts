import { floatValue, intValue, type Model, NameAllocator } from '@tritforge/quant-core/ir';

/** Has all that gradients are written with. Nothing that these networks are made of changed since opset 13, BatchNormalization aside. */
const TRAINING_OPSET = 17;
const TRAINING_IR_VERSION = 8;
/** Share of the running statistics that a step keeps. */
const MOMENTUM = 0.9;

/**
 * The network in an opset to train in, and with each BatchNormalization in training mode if asked for: normalized by the mean and variance
 * of the batch, which also move the running ones a tenth of the way. Nodes that stay are shared.
 * @param model of opset 13
 */
export function readyToTrain(model: Model, batchStatistics: boolean): Model {
  const names = new NameAllocator(model);
  const nodes = model.graph.nodes.map((node) => {
    if (!batchStatistics || node.opType !== 'BatchNormalization') return node;
    const y = node.outputs[0]!;
    const running = ['running_mean', 'running_variance'].map((what) => names.value(`${y}_${what}`));
    return {
      ...node,
      outputs: [y, ...running],
      attributes: new Map([...node.attributes, ['training_mode', intValue(1)], ['momentum', floatValue(MOMENTUM)]]),
    };
  });
  return {
    ...model,
    irVersion: Math.max(model.irVersion, TRAINING_IR_VERSION),
    opsetImports: new Map(model.opsetImports).set('', TRAINING_OPSET),
    graph: { ...model.graph, nodes },
  };
}
