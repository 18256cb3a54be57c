/**
 * The part of a network behind one weight, as a model that takes the weight as an input: one session serves all candidates
 * for the weight, and nothing before it runs twice.
 *
 *   other values ──────────────┐
 *   x ──▶ layer(x, w, b) ──▶ … ──▶ output         w, b and, of a layer that is alone, x are inputs of their own
 */
import { type Laboratory, loadScratchModel } from '../calibrate/observed-model.js';
import {
  type DataType,
  type Model,
  NameAllocator,
  type Node,
  readFloats,
  type Tensor,
  tensorFromFloats,
  type ValueInfo,
  valuesUsedBy,
} from '../ir/index.js';
import { canHaveBias, type Layer } from '../layers/layer.js';
import type { Feeds, HostTensor, Session } from '../runtime/runtime.js';
import type { Unit } from './precisions.js';

/** What takes the place of a layer's own tensors; what is left out stays as it was. */
export interface Substitutes {
  /** In the shape of the weight tensor. */
  readonly weight?: Float32Array;
  /** Of each layer of the unit, [OC]; null for a layer that can have none. */
  readonly biases?: readonly (Float32Array | null)[];
  /** What the layer takes in, for a unit of one layer. */
  readonly input?: HostTensor;
}

/** Where a suffix begins and what it needs. */
export interface SuffixPlan {
  readonly unit: Unit;
  /** In graph order; layers of the unit read their tensors from the slots. */
  readonly nodes: readonly Node[];
  /** Values of the whole model that go in; the input of the first layer is among them. */
  readonly values: readonly string[];
  /** The input and the output of the first layer. */
  readonly input: string;
  readonly layerOutput: string;
  readonly output: string;
  readonly slots: Slots;
}

interface Slots {
  readonly weight: string;
  readonly biases: readonly (string | null)[];
  readonly input: string | null;
}

/**
 * Finds the nodes that lead from a unit to an output of the main graph.
 * @returns null when the output does not depend on the unit
 */
export function planSuffix(model: Model, unit: Unit, output: string): SuffixPlan | null {
  const { graph } = model;
  const between = nodesBetween(model, unit, output);
  if (between.length === 0) return null;
  const allocate = new NameAllocator(model);
  const slots: Slots = {
    weight: allocate.value('own_weight'),
    biases: unit.layers.map((layer) => (canHaveBias(layer) ? allocate.value('own_bias') : null)),
    input: unit.layers.length === 1 ? allocate.value('own_input') : null,
  };
  const layerOf = new Map(unit.layers.map((layer, index) => [layer.node, { layer, index }]));
  const nodes = between.map((node) => {
    const found = layerOf.get(node);
    return found === undefined ? node : withSlots(found.layer, slots, found.index);
  });
  const first = unit.layers[0];
  const input = first.node.inputs[1 - first.weightPosition]!;
  const used = new Set([input, ...nodes.flatMap((node) => [...valuesUsedBy(node)])]);
  for (const name of [slots.weight, ...slots.biases, slots.input, ...nodes.flatMap((node) => node.outputs)])
    used.delete(name ?? '');
  const values = [...used].filter((name) => !graph.initializers.has(name));
  return { unit, nodes, values, input, layerOutput: first.node.outputs[0]!, output, slots };
}

/** The nodes that use a result of the unit, directly or not, and that the output needs. */
function nodesBetween({ graph }: Model, unit: Unit, output: string): Node[] {
  const own = new Set(unit.layers.map(({ node }) => node));
  const reached = new Set<string>();
  const behind = graph.nodes.filter((node) => {
    const isBehind = own.has(node) || [...valuesUsedBy(node)].some((name) => reached.has(name));
    if (isBehind) for (const name of node.outputs) reached.add(name);
    return isBehind;
  });
  const needed = new Set([output]);
  const leading = behind.toReversed().filter((node) => {
    const isNeeded = node.outputs.some((name) => needed.has(name));
    if (isNeeded) for (const name of valuesUsedBy(node)) needed.add(name);
    return isNeeded;
  });
  return leading.toReversed();
}

function withSlots({ node, weightPosition }: Layer, slots: Slots, index: number): Node {
  const inputs = [...node.inputs];
  inputs[weightPosition] = slots.weight;
  const bias = slots.biases[index] ?? null;
  if (bias !== null) inputs[2] = bias;
  if (slots.input !== null) inputs[1 - weightPosition] = slots.input;
  return { ...node, inputs };
}

/** What a suffix computes in one run. */
export interface SuffixOutputs {
  readonly output: HostTensor;
  /** What comes out of the first layer. */
  readonly layer: HostTensor;
}

/** A network from one unit on, loaded. */
export class LayerSuffix {
  readonly #plan: SuffixPlan;
  readonly #session: Session;
  readonly #weight: HostTensor;
  readonly #biases: readonly (HostTensor | null)[];

  private constructor(plan: SuffixPlan, session: Session, weight: HostTensor, biases: readonly (HostTensor | null)[]) {
    this.#plan = plan;
    this.#session = session;
    this.#weight = weight;
    this.#biases = biases;
  }

  /** @param dtypeOf of the values that go in */
  static async open(
    model: Model,
    plan: SuffixPlan,
    dtypeOf: (name: string) => DataType,
    laboratory: Laboratory,
  ): Promise<LayerSuffix> {
    const { unit, slots } = plan;
    const weight = await floatTensor(unit.weight);
    const biases = await Promise.all(
      unit.layers.map((layer, i) => (slots.biases[i] === null ? null : floatTensor(layer.bias ?? noBias(layer)))),
    );
    return new LayerSuffix(plan, await loadScratchModel(suffixModel(model, plan, dtypeOf), laboratory), weight, biases);
  }

  /** @param values those of the plan */
  async run(values: Feeds, { weight, biases, input }: Substitutes = {}): Promise<SuffixOutputs> {
    const { slots, output, layerOutput } = this.#plan;
    const feeds = new Map(values);
    feeds.set(slots.weight, weight === undefined ? this.#weight : { ...this.#weight, data: weight });
    for (const [i, original] of this.#biases.entries()) {
      const bias = biases?.[i];
      if (original !== null) feeds.set(slots.biases[i]!, bias ? { ...original, data: bias } : original);
    }
    if (slots.input !== null) feeds.set(slots.input, input ?? values.get(this.#plan.input)!);
    const taken = this.#session.inputs.map(({ name }): [string, HostTensor] => [name, feeds.get(name)!]);
    const outputs = await this.#session.run(new Map(taken));
    return { output: outputs.get(output)!, layer: outputs.get(layerOutput)! };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

function suffixModel(
  model: Model,
  { unit, nodes, values, output, layerOutput, slots }: SuffixPlan,
  dtypeOf: (name: string) => DataType,
): Model {
  const { graph } = model;
  const used = new Set(nodes.flatMap((node) => [...valuesUsedBy(node)]));
  const declared = new Map(graph.inputs.map((input) => [input.name, input]));
  const outside = values.filter((name) => used.has(name));
  const floats = (name: string | null, shape: ValueInfo['shape']): ValueInfo[] =>
    name === null ? [] : [{ name, dtype: 'float32', shape }];
  return {
    ...model,
    graph: {
      ...graph,
      nodes: [...nodes],
      inputs: [
        ...outside.map((name): ValueInfo => declared.get(name) ?? { name, dtype: dtypeOf(name), shape: null }),
        ...floats(slots.weight, unit.weight.shape),
        ...slots.biases.flatMap((name, i) => floats(name, [unit.layers[i]!.layout.outputChannels])),
        ...floats(slots.input, null),
      ],
      outputs: [...new Set([output, layerOutput])].map((name) => ({ name, dtype: 'undefined', shape: null })),
      initializers: new Map([...graph.initializers].filter(([name]) => used.has(name))),
      valueInfo: new Map(),
    },
  };
}

async function floatTensor(tensor: Tensor): Promise<HostTensor> {
  return { dtype: 'float32', shape: tensor.shape, data: await readFloats(tensor) };
}

function noBias({ layout: { outputChannels } }: Layer): Tensor {
  return tensorFromFloats([outputChannels], new Float32Array(outputChannels));
}
