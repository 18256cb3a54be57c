/**
 * The graphs of a supernet: a quantized network at the largest candidate of each width, whose convolutions of searched widths put out
 * mixtures of candidates. All graphs share one vector of parameters:
 *
 *   [ weights, biases, scales of activations, gains │ K of each searched layer ]
 *
 *   convolution, quantized ─▶ normalization by the batch ─▶ 1×1 convolution with K, b ─▶ …      see mixture.ts
 *   depthwise convolution  ─▶ normalization by the batch, γ and β of which are zero beyond the pair ─▶ …
 *
 * b is the bias that the layer has itself, as β is elsewhere.
 */
import type { RangeLearning } from '@tritforge/contracts';
import { intsValue, type Model, NameAllocator, type Node, type Tensor, tensorFromFloats } from '../../ir/index.js';
import { makeNode } from '../../passes/edit-graph.js';
import { type DistillationLoss, type DistilledGraph, distilledGraph } from '../../train/distilled-graph.js';
import type { Start } from '../../train/fine-tune.js';
import { type NormalizedLayer, type NormalizedStudent, withNormalizations } from '../../train/normalized-student.js';
import type { Parameter } from '../../train/parameter-vector.js';
import { onlyWhatComputes, type PartGraph, partGraph } from '../../train/part-graph.js';
import { type RunShapes, runShapes } from '../../train/run-shapes.js';
import { inTrainingMode, momentsGraph, statisticsGraph } from '../../train/running-statistics.js';
import { buildStudentGraph } from '../../train/student-graph.js';
import { type TrainedTensor, trainedTensors } from '../../train/trained-tensors.js';
import type { TuningSamples } from '../../train/tuning-samples.js';
import type { WidthId } from '../widths/width-table.js';

/** A network whose activations are quantized; its weights wait to be. */
export type SupernetBase = Omit<Start, 'weights'>;

/** A normalized layer whose width is searched. */
export interface SearchedLayer extends NormalizedLayer {
  readonly width: WidthId;
  /** Initializer with K, [C, C, 1, 1]; null for depthwise convolutions, where γ and β are masked. */
  readonly matrix: string | null;
}

export interface SupernetOptions {
  /** The original network. */
  readonly teacher: Model;
  readonly loss: DistillationLoss;
  readonly activationQuantizer: RangeLearning;
  /** The searched width that a layer makes, by the name of its node. */
  readonly widthOf: (layer: string) => WidthId | null;
}

export interface SupernetGraphs {
  readonly training: DistilledGraph;
  /** The loss of the training graph alone. */
  readonly judging: PartGraph;
  /** Takes what is trained but for gains, without normalizations: means and variances of what normalized layers put out. */
  readonly moments: PartGraph;
  /** Takes all: the same of what goes into the normalizations. */
  readonly statistics: PartGraph;
  readonly teacher: Model;
  /** By initializer, those with which the vector begins. */
  readonly trained: ReadonlyMap<string, TrainedTensor>;
  /** In the order of the statistics; searched ones are {@link SearchedLayer}s. */
  readonly normalized: readonly NormalizedLayer[];
  readonly searched: readonly SearchedLayer[];
  readonly run: RunShapes;
}

/** @throws TritforgeError MODEL_NOT_DIFFERENTIABLE, DATASET_SHAPE_MISMATCH */
export async function supernetGraphs(
  base: SupernetBase,
  { store, part }: Pick<TuningSamples, 'store' | 'part'>,
  { teacher, loss, activationQuantizer, widthOf }: SupernetOptions,
): Promise<SupernetGraphs> {
  const student = await buildStudentGraph(base, activationQuantizer);
  const run = runShapes(student.model, store, part, true);
  const { symbols } = run;
  const normalized = withNormalizations(student, base.layers);
  const { model, layers, searched } = withMixtures(normalized, widthOf);
  const withGains = layers.filter(({ gain }) => model.graph.initializers.has(gain));
  const trained = trainedTensors(base.layers, student, withGains);
  const matrices = searched.flatMap(({ matrix }) => matrix ?? []);
  const measured = layers.map(({ statistics }) => statistics);
  const training = await distilledGraph(inTrainingMode(model, measured), {
    teacher,
    symbols,
    loss,
    parameters: [...trained.keys(), ...matrices],
    held: student.held,
  });
  const { parameters, lossOutput, parameterInput } = training;
  const stored = parameters.slice(0, trained.size).filter(({ name }) => trained.get(name)!.kind !== 'gain');
  const partOf = (part: { model: Model; output: string }, of: readonly Parameter[]) =>
    partGraph(part.model, part.output, of);
  const outputs = layers.map(({ output }) => output);
  return {
    training,
    judging: { model: onlyWhatComputes(training.model, lossOutput), output: lossOutput, parameterInput },
    moments: partOf(momentsGraph(student.model, outputs, symbols), stored),
    statistics: partOf(statisticsGraph(model, measured, symbols), parameters),
    teacher,
    trained,
    normalized: layers,
    searched,
    run,
  };
}

/** Puts a 1×1 convolution behind the normalization of each searched layer but depthwise ones; the normalization has neither γ nor β then. */
function withMixtures(
  { model, layers }: NormalizedStudent,
  widthOf: SupernetOptions['widthOf'],
): NormalizedStudent & { readonly searched: readonly SearchedLayer[] } {
  const names = new NameAllocator(model);
  const initializers = new Map(model.graph.initializers);
  const replaced = new Map<Node, readonly Node[]>();
  const mixed = layers.map((layer): NormalizedLayer | SearchedLayer => {
    const { node, depthwise, layout } = layer.planned.layer;
    const width = widthOf(node.name);
    if (width === null) return layer;
    if (depthwise) return { ...layer, width, matrix: null };
    const channels = layout.outputChannels;
    const { node: normalization } = layer.statistics;
    const [raw, , , ...running] = normalization.inputs as [string, string, string, string, string];
    const [output] = normalization.outputs as [string];
    const add = (base: string, tensor: Tensor) => {
      const name = names.value(`${output}_${base}`);
      initializers.set(name, tensor);
      return name;
    };
    const zeros = add('zeros', tensorFromFloats([channels], new Float32Array(channels)));
    const matrix = add('matrix', tensorFromFloats([channels, channels, 1, 1], new Float32Array(channels ** 2)));
    const normal = names.value(`${output}_normal`);
    const ones = add('ones', tensorFromFloats([channels], new Float32Array(channels).fill(1)));
    initializers.delete(layer.gain);
    const inner: Node = { ...normalization, inputs: [raw, ones, zeros, ...running], outputs: [normal] };
    const kernel = { kernel_shape: intsValue([1, 1]) };
    const mixture = makeNode(names.node(output), 'Conv', [normal, matrix, layer.shift], [output], kernel);
    replaced.set(normalization, [inner, mixture]);
    return { ...layer, width, matrix, statistics: { ...layer.statistics, node: inner } };
  });
  const nodes = model.graph.nodes.flatMap((node) => replaced.get(node) ?? [node]);
  const searched = mixed.filter((layer) => 'width' in layer);
  return { model: { ...model, graph: { ...model.graph, nodes, initializers } }, layers: mixed, searched };
}
