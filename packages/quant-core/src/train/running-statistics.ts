/**
 * Statistics of the whole data, which a network is run with after it was trained with those of each batch: measured anew by the final
 * weights, in passes like those of training, instead of averaged over weights that are gone. Source: Wu and Johnson 2021,
 * "Rethinking 'Batch' in BatchNorm", §3.
 */
import { knownShapes } from '../autodiff/gradients.js';
import { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { intValue, type Model, type Node } from '../ir/index.js';
import { removeUnused } from '../passes/edit-graph.js';
import { lowerTrainingMode, momentsOf } from './batch-statistics.js';

/** A normalization by statistics that are constants of the network. */
export interface RunningStatistics {
  readonly node: Node;
  /** Initializers, [C]. */
  readonly mean: string;
  readonly variance: string;
}

/** In the order of the graph. */
export function normalizations({ graph }: Model): RunningStatistics[] {
  return graph.nodes.flatMap((node) => {
    const [, , , mean = '', variance = ''] = node.inputs;
    const isNormalization = node.opType === 'BatchNormalization' && node.domain === '';
    if (!isNormalization || !graph.initializers.has(mean) || !graph.initializers.has(variance)) return [];
    return [{ node, mean, variance }];
  });
}

/** The model with the given nodes in training mode, which is for the calculus and not to be run; all else is shared. */
export function inTrainingMode(model: Model, chosen: readonly RunningStatistics[]): Model {
  const isChosen = new Set(chosen.map(({ node }) => node));
  const nodes = model.graph.nodes.map((node) => {
    if (!isChosen.has(node)) return node;
    const attributes = new Map(node.attributes).set('training_mode', intValue(1));
    return { ...node, outputs: node.outputs.slice(0, 1), attributes };
  });
  return { ...model, graph: { ...model.graph, nodes } };
}

/** A graph whose output is one vector: means of a batch for each node in order, then variances, each in the order of its channels. */
export function statisticsGraph(
  network: Model,
  measured: readonly RunningStatistics[],
  symbols: ReadonlyMap<string, number>,
): { model: Model; output: string } {
  const training = inTrainingMode(network, measured);
  const shapes = knownShapes(training, symbols);
  const { model, statistics } = lowerTrainingMode(training, shapes);
  const ofBatch = new Map(statistics.map((found) => [found.running[0], found]));
  const b = new ShapedBuilder(model, shapes);
  return asOneVector(
    b,
    model,
    measured.map(({ mean }) => ofBatch.get(mean)!),
  );
}

/** The same of values of a network as it is. */
export function momentsGraph(
  network: Model,
  values: readonly string[],
  symbols: ReadonlyMap<string, number>,
): { model: Model; output: string } {
  const b = new ShapedBuilder(network, knownShapes(network, symbols));
  return asOneVector(
    b,
    network,
    values.map((value) => momentsOf(b, value)),
  );
}

function asOneVector(
  b: ShapedBuilder,
  model: Model,
  found: readonly { readonly mean: string; readonly variance: string }[],
): { model: Model; output: string } {
  const output = b.concat([...found.map(({ mean }) => mean), ...found.map(({ variance }) => variance)], 0);
  const nodes = [...model.graph.nodes, ...b.nodes];
  const outputs = [{ name: output, dtype: 'float32' as const, shape: null }];
  const graph = { ...model.graph, nodes, outputs, initializers: new Map(b.initializers), valueInfo: new Map() };
  const whole = { ...model, graph };
  removeUnused(whole);
  return { model: whole, output };
}

/**
 * Statistics of many batches of the same size as if they were one:
 *
 *   μ = mean over batches of μ_b      v = mean over batches of v_b + (μ_b − μ)²
 *
 * Sums are float64, in the order in which batches are added.
 */
export class PooledStatistics {
  readonly #batches: Float32Array[] = [];

  /** @param vector as {@link statisticsGraph} puts it out */
  add(vector: Float32Array): void {
    this.#batches.push(vector);
  }

  /** Means, then variances. @throws Error before the first batch */
  vector(): Float32Array {
    const [first] = this.#batches;
    if (first === undefined) throw new Error('no batch was measured');
    const channels = first.length / 2;
    const count = this.#batches.length;
    const pooled = new Float64Array(2 * channels);
    for (const batch of this.#batches) for (let c = 0; c < channels; c++) pooled[c]! += batch[c]! / count;
    for (const batch of this.#batches)
      for (let c = 0; c < channels; c++)
        pooled[channels + c]! += (batch[channels + c]! + (batch[c]! - pooled[c]!) ** 2) / count;
    return Float32Array.from(pooled);
  }
}
