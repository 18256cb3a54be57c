/**
 * Normalization by the batch while a quantized network is trained, which keeps the sizes of values steady while codes change. What is
 * stored has none: a normalization by statistics of the data is a factor and a summand per channel.
 *
 *   as it is      y = W ∗ x + b
 *   in training   y = γ · (W ∗ x − μ) / √(v + ε) + β        μ, v: mean and variance of W ∗ x over the batch, per channel
 *   folded        W′ = f · W,  b′ = β − f · μ,  f = γ / √(v + ε)        μ, v over the data
 *
 * Source: Ioffe and Szegedy 2015, "Batch Normalization", §3.1; Jacob et al. 2018, §3.2, for the folding.
 */
import { floatValue, type Model, NameAllocator, type Node, tensorFromFloats } from '../ir/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import { makeNode } from '../passes/edit-graph.js';
import type { RunningStatistics } from './running-statistics.js';
import type { StudentGraph } from './student-graph.js';

/** ε */
export const NORMALIZATION_EPSILON = 1e-5;

/** A convolution whose outputs are normalized. Its bias initializer is β. */
export interface NormalizedLayer {
  readonly planned: PlannedLayer;
  /** Initializers of the student. */
  readonly weight: string;
  readonly shift: string;
  /** γ */
  readonly gain: string;
  /** What the layer puts out, in the student and behind the normalization. */
  readonly output: string;
  readonly statistics: RunningStatistics;
}

export interface NormalizedStudent {
  readonly model: Model;
  readonly layers: readonly NormalizedLayer[];
}

/**
 * The student with a normalization by constants, behind every convolution but the last layer that has a weight and a bias of its own;
 * shares everything else.
 */
export function withNormalizations(student: StudentGraph, planned: readonly PlannedLayer[]): NormalizedStudent {
  const { model } = student;
  const names = new NameAllocator(model);
  const initializers = new Map(model.graph.initializers);
  const added = new Map<Node, readonly Node[]>();
  const layers = foldable(student, planned).map((layer): NormalizedLayer => {
    const { outputChannels } = layer.layer.layout;
    const slot = student.slots.get(layer.layer.node)!;
    const convolution = student.written.get(layer.layer.node.name)!;
    const [output] = convolution.outputs as [string];
    const constant = (base: string, value: number) => {
      const name = names.value(`${output}_${base}`);
      initializers.set(name, tensorFromFloats([outputChannels], new Float32Array(outputChannels).fill(value)));
      return name;
    };
    const [gain, mean, variance] = [constant('gain', 1), constant('mean', 0), constant('variance', 1)];
    const raw = names.value(`${output}_raw`);
    const inputs = [raw, gain, slot.bias!, mean, variance];
    const epsilon = floatValue(NORMALIZATION_EPSILON);
    const node = makeNode(names.node(raw), 'BatchNormalization', inputs, [output], { epsilon });
    added.set(convolution, [{ ...convolution, inputs: convolution.inputs.slice(0, 2), outputs: [raw] }, node]);
    const statistics = { node, mean, variance };
    return { planned: layer, weight: slot.weight, shift: slot.bias!, gain, output, statistics };
  });
  const nodes = model.graph.nodes.flatMap((node) => added.get(node) ?? [node]);
  return { model: { ...model, graph: { ...model.graph, nodes, initializers } }, layers };
}

function foldable({ slots }: StudentGraph, planned: readonly PlannedLayer[]): PlannedLayer[] {
  const last = planned.findLast(({ layer }) => !layer.isTable);
  const uses = new Map<string, number>();
  for (const { weight, bias } of slots.values())
    for (const name of [weight, bias ?? '']) uses.set(name, (uses.get(name) ?? 0) + 1);
  return planned.filter((own) => {
    const slot = slots.get(own.layer.node);
    const isOwn = slot !== undefined && slot.bias !== null && uses.get(slot.weight) === 1 && uses.get(slot.bias) === 1;
    return isOwn && own !== last && own.layer.node.opType === 'Conv';
  });
}
