/**
 * START HERE: quantizes layers in the order in which the network computes them. Each layer is fitted to the outputs that the
 * original network has, for the inputs that it gets from the layers quantized before it, so that what one layer loses the
 * next ones can make up for.
 *
 *   for each layer
 *     original  ──▶ y       its output in the original network            prefix/
 *     working   ──▶ x       its input behind the layers quantized so far
 *     moments   of x, and of x with y                                     moments/
 *     solve     weights as codes                                          solve/
 *     correct   mean and variance of its outputs: channel scales, bias
 *     working graph goes on with what the codes mean
 *
 * Source of the order: batch-norm re-estimation front to back, arXiv 1701.08978, section 3.2; of fitting to the inputs of the
 * quantized network: Frantar et al., arXiv 2210.17323, and what followed it.
 */
import type { ResolvedRecipe } from '@tritforge/contracts';
import { layerInput } from '../activations/activation-bits.js';
import { buildWorkingGraph, type LayerSlots, type WorkingGraph } from '../artifact/working-graph.js';
import { smallestWeightScales } from '../int8/index.js';
import { type Model, type Node, readFloats, type Tensor, tensorFromFloats } from '../ir/index.js';
import { canHaveBias, type Layer, type PlannedLayer } from '../layers/layer.js';
import { readRows } from '../layers/weight-rows.js';
import type { RecordedOutputs } from '../moments/index.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { PrefixRunner, type SampleValues } from '../prefix/index.js';
import type { Runtime } from '../runtime/runtime.js';
import type { InputMoments } from '../solve/index.js';
import { calibrationRuns } from './calibration-runs.js';
import { expectedRows } from './expected-rows.js';
import { type LayerMemory, type LayerResult, prefixKeys } from './known-layers.js';
import { layerMoments } from './layer-moments.js';
import { type LayerSum, layerSums } from './layer-sums.js';
import type { OriginalOutputs } from './original-outputs.js';
import {
  correctMeans,
  nearestWhole,
  type SolvedLayer,
  type SolveWholeOptions,
  solveWholeInThreads,
} from './solve-whole.js';
import { SolverThreads } from './solver-threads.js';
import { fittingCost, TimeLeft } from './time-left.js';

/** A network whose activations are calibrated. */
export type Source = Parameters<typeof buildWorkingGraph>[0];

export interface InOrderOptions {
  readonly recipe: ResolvedRecipe;
  readonly calibration: JobDataset;
  /** Samples to use at most, evenly spread over the dataset; chosen by their size when left out. */
  readonly maxSamples: number | undefined;
  readonly runtime: Runtime;
  readonly scratchDir: string;
  /** Called before each layer and after the last, with what the rest will take as far as that is known; may throw to stop. */
  readonly onLayer: (done: number, total: number, secondsLeft: number | null) => Promise<void>;
  /**
   * Takes the codes of a weight as soon as they are known. Each weight comes once.
   * @returns what the codes mean, in the shape of the weight's own tensor
   */
  readonly onSolved: (planned: PlannedLayer, solved: SolvedLayer) => Promise<Tensor>;
  /** Sees what each layer takes in behind the layers that are quantized already. */
  readonly onMoments?: ((layer: Layer, moments: readonly InputMoments[]) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What to solve layers on; the calling thread when left out. */
  readonly threads?: SolverThreads | undefined;
  /** Layers of networks that were quantized before, by the same recipe but for precisions; gets those of this one. */
  readonly known?: LayerMemory | undefined;
  /** Outputs of the original network; gets those that it does not have yet. */
  readonly originals?: OriginalOutputs | undefined;
}

const TOO_LARGE = 'too wide for moments of its inputs: codes nearest to the weights';

/**
 * Quantizes the weights of all planned layers of the main graph, and corrects their biases.
 * @returns the plan with corrected biases, in its order
 */
export async function quantizeInOrder(source: Source, options: InOrderOptions): Promise<PlannedLayer[]> {
  const layers = withBiases(source.layers, options.recipe);
  const working = await buildWorkingGraph({ ...source, layers }, WORKING_OPSET);
  const order = tablesFirst(layers.filter(({ applied, layer }) => applied.bits !== null && layer.inMainGraph));
  const keys = prefixKeys(layers, order);
  const nodes = order.map(({ layer }) => layer.node);
  // Codes near to the weights cannot make up for what the other summand has lost, but their variance can be matched.
  const sums = options.recipe.weights.target === 'weights' ? new Map() : layerSums(source.prepared.graph, nodes);
  const firstUnknown = keys.findIndex((key) => options.known?.has(key) !== true);
  const unknown = firstUnknown < 0 ? [] : order.slice(firstUnknown).filter(({ layer }) => !layer.isTable);
  const original = await openRunner(
    source.prepared,
    unknown
      .filter(({ layer }) => !options.originals?.has(originalKey(layer.node, sums)))
      .map(({ layer }) => originalStop(layer.node, sums)),
    options,
  );
  try {
    const inputs = unknown.map(({ layer }) => workingStop(layer.node, working, sums));
    const quantized = await openRunner(working.model, inputs, options);
    try {
      return await new InOrder(source, { working, sums }, { original, quantized }, options).run(layers, order, keys);
    } finally {
      await quantized.close();
    }
  } finally {
    await original.close();
  }
}

/** Names of what a layer is held against: its output, and the sum that it goes into. */
function originalStop(node: Node, sums: ReadonlyMap<Node, LayerSum>): string[] {
  const sum = sums.get(node);
  return sum === undefined ? [node.outputs[0]!] : [node.outputs[0]!, sum.node.outputs[0]!];
}

/** Tells apart what is recorded of a layer in networks that count another sum, or none. */
function originalKey(node: Node, sums: ReadonlyMap<Node, LayerSum>): string {
  return [node.name, ...originalStop(node, sums)].join('\n');
}

/** Names of what a layer takes in, and of the other summand. */
function workingStop(node: Node, working: WorkingGraph, sums: ReadonlyMap<Node, LayerSum>): string[] {
  const { input } = working.slots.get(node)!;
  const sum = sums.get(node);
  return sum === undefined ? [input] : [...new Set([input, addendName(sum, working)])];
}

function addendName({ node, other }: LayerSum, { written }: WorkingGraph): string {
  return written.get(node.name)!.inputs[other]!;
}

const WORKING_OPSET = 13;
const ONE_THREAD = new SolverThreads(1);
/** Corrected biases may be so many times as large as the original ones. */
const CORRECTION_ROOM = 16;

interface Runners {
  readonly original: PrefixRunner;
  readonly quantized: PrefixRunner;
}

/** The working graph and, by layer, the sums that count. */
interface Work {
  readonly working: WorkingGraph;
  readonly sums: ReadonlyMap<Node, LayerSum>;
}

/** What the outputs of a layer are to be. */
interface Aim {
  readonly y: SampleValues | RecordedOutputs;
  /** What is added to the layer's output; null where y is the output itself. */
  readonly addend: SampleValues | null;
}

class InOrder {
  readonly #source: Source;
  readonly #working: WorkingGraph;
  readonly #sums: ReadonlyMap<Node, LayerSum>;
  readonly #runners: Runners;
  readonly #options: InOrderOptions;
  /** Weights that a later layer has too, or an earlier one had. */
  readonly #solved = new Map<Tensor, SolvedLayer>();
  readonly #taken = new Set<Tensor>();
  #timeLeft = new TimeLeft([]);
  /** Weights and biases that the next part of the working graph is to have. */
  readonly #replaced = new Map<string, Tensor>();

  constructor(source: Source, { working, sums }: Work, runners: Runners, options: InOrderOptions) {
    this.#source = source;
    this.#working = working;
    this.#sums = sums;
    this.#runners = runners;
    this.#options = options;
  }

  async run(
    layers: readonly PlannedLayer[],
    order: readonly PlannedLayer[],
    keys: readonly string[],
  ): Promise<PlannedLayer[]> {
    const { known } = this.#options;
    const corrected = new Map<PlannedLayer, PlannedLayer>();
    const unknown = order.filter(({ layer }, i) => known?.has(keys[i]!) !== true && !layer.isTable);
    const rows = expectedRows(this.#source.prepared, this.#runners.quantized.runCount);
    this.#timeLeft = new TimeLeft(unknown.map((planned) => fittingCost(planned, rows(planned.layer))));
    let isKnown = true;
    for (const [done, planned] of order.entries()) {
      await this.#options.onLayer(done, order.length, this.#timeLeft.seconds);
      const before: LayerResult | undefined = isKnown ? await known?.get(keys[done]!) : undefined;
      isKnown = before !== undefined;
      const result = before ?? (await this.#quantize(planned));
      if (!isKnown) await known?.set(keys[done]!, result);
      corrected.set(planned, await this.#take(planned, result));
    }
    await this.#options.onLayer(order.length, order.length, 0);
    return layers.map((planned) => corrected.get(planned) ?? planned);
  }

  async #quantize(planned: PlannedLayer): Promise<LayerResult> {
    const { layer } = planned;
    if (layer.isTable) return this.#quantizeTable(planned);
    const slots = this.#working.slots.get(layer.node)!;
    const startMs = performance.now();
    const aim = await this.#advance(layer);
    const ranMs = performance.now();
    const moments = await this.#moments(layer, slots, aim);
    if (moments !== null) this.#options.onMoments?.(layer, moments);
    const bias = layer.bias === null ? null : await readFloats(layer.bias);
    const shared = this.#solved.get(layer.weight);
    const solved = shared ?? (await this.#solve(planned, moments, bias, aim));
    const correctedBias =
      shared === undefined || moments === null ? solved.bias : correctMeans(shared, layer.layout, moments, bias);
    this.#timeLeft.layerDone((ranMs - startMs) / 1000, (performance.now() - ranMs) / 1000);
    return { solved, bias: correctedBias, isTooLarge: moments === null };
  }

  /** Brings both networks to a layer. */
  async #advance({ node }: Layer): Promise<Aim> {
    const { original, quantized } = this.#runners;
    const recorded = await this.#options.originals?.get(originalKey(node, this.#sums));
    if (recorded === undefined) await original.advance(originalStop(node, this.#sums));
    await quantized.advance(workingStop(node, this.#working, this.#sums), { initializers: this.#replaced });
    this.#replaced.clear();
    const sum = this.#sums.get(node);
    const addend = sum === undefined ? null : quantized.values(addendName(sum, this.#working));
    const shapes = recorded?.shapes ?? shapesOf(original.values(node.outputs[0]!));
    // A summand of another shape is added to several outputs, or several of it to one.
    const isWhole = addend !== null && shapes.every((shape, run) => shape.join() === addend.shape(run).join());
    const y = recorded ?? original.values(isWhole ? sum!.node.outputs[0]! : node.outputs[0]!);
    return { y, addend: isWhole ? addend : null };
  }

  /** What is looked up is to stay what it was; there is nothing to fit it to. */
  async #quantizeTable(planned: PlannedLayer): Promise<LayerResult> {
    const { layer } = planned;
    const shared = this.#solved.get(layer.weight);
    const solved = shared ?? (await this.#solve(planned, null, null, null));
    return { solved, bias: null, isTooLarge: false };
  }

  #isShared({ weight }: Layer): boolean {
    return this.#source.layers.filter(({ layer }) => layer.weight === weight).length > 1;
  }

  /** Lets the working graph go on with what became of a layer. */
  async #take(planned: PlannedLayer, { solved, bias, isTooLarge }: LayerResult): Promise<PlannedLayer> {
    const { layer } = planned;
    const slots = this.#working.slots.get(layer.node)!;
    if (!this.#taken.has(layer.weight)) {
      this.#taken.add(layer.weight);
      if (this.#isShared(layer)) this.#solved.set(layer.weight, solved);
      this.#replaced.set(slots.weight, await this.#options.onSolved(planned, solved));
    }
    const told = isTooLarge ? { ...planned, reason: joinReasons(planned.reason, TOO_LARGE) } : planned;
    if (bias === null) return told;
    const tensor = tensorFromFloats([bias.length], bias);
    this.#replaced.set(slots.bias!, tensor);
    return { ...told, layer: { ...layer, bias: tensor } };
  }

  async #solve(
    planned: PlannedLayer,
    moments: InputMoments[] | null,
    bias: Float32Array | null,
    aim: Aim | null,
  ): Promise<SolvedLayer> {
    const minimumScales = await this.#minimumScales(planned.layer, bias);
    const { recipe: all } = this.#options;
    // What makes up for another summand varies more than the layer's own outputs.
    const correction = aim?.addend ? all.correction.filter((part) => part !== 'variance') : all.correction;
    const options = { bias, recipe: { ...all, correction }, minimumScales };
    const weights = await readRows(planned.layer);
    return moments === null
      ? nearestWhole(weights, planned, options)
      : this.#solveFor(weights, planned, { moments, ...options });
  }

  #solveFor(weights: Float32Array, planned: PlannedLayer, options: SolveWholeOptions): Promise<SolvedLayer> {
    const { threads, signal } = this.#options;
    return solveWholeInThreads(
      weights,
      planned,
      { ...options, overwritesMoments: true },
      threads ?? ONE_THREAD,
      signal,
    );
  }

  /** Weight scales with which the biases of all layers that share the weight fit in an int32, also after they were corrected. */
  async #minimumScales(layer: Layer, bias: Float32Array | null): Promise<Float32Array | undefined> {
    const sharing = this.#source.layers.filter((other) => other.layer.weight === layer.weight);
    let minimum: Float32Array | undefined;
    for (const { layer: other } of sharing) {
      const value = layerInput(this.#source.activations, other.node);
      const own = other.node === layer.node ? bias : other.bias && (await readFloats(other.bias));
      if (value === undefined || own === null) continue;
      const room = own.map((b) => b * CORRECTION_ROOM);
      const needed = smallestWeightScales(room, this.#source.scales.get(value.rangeOf)!.scale);
      minimum = minimum?.map((scale, i) => Math.max(scale, needed[i]!)) ?? needed;
    }
    return minimum;
  }

  #moments(layer: Layer, { input }: LayerSlots, { y, addend }: Aim): Promise<InputMoments[] | null> {
    const { runtime, scratchDir, recipe, originals, signal } = this.#options;
    const key = originalKey(layer.node, this.#sums);
    const isNew = originals !== undefined && !originals.has(key);
    const onOutputs = isNew ? (outputs: RecordedOutputs) => originals.set(key, outputs) : undefined;
    const options = { runtime, scratchDir, seed: recipe.seed, addend: addend ?? undefined, onOutputs, signal };
    return layerMoments(layer, this.#runners.quantized.values(input), y, options);
  }
}

function shapesOf(values: SampleValues): (readonly number[])[] {
  return Array.from({ length: values.runCount }, (_, run) => values.shape(run));
}

async function openRunner(
  model: Model,
  stops: readonly (readonly string[])[],
  { calibration, maxSamples, runtime, scratchDir, signal }: InOrderOptions,
): Promise<PrefixRunner> {
  const runs = await calibrationRuns(calibration, maxSamples);
  return PrefixRunner.open(model, { runs, stops, runtime, scratchDir, signal });
}

/** The plan with a bias of zeros where a layer has none and could have one, so that its mean can be corrected. */
export function withBiases(layers: readonly PlannedLayer[], { correction }: ResolvedRecipe): PlannedLayer[] {
  return layers.map((planned) => {
    const { layer, applied } = planned;
    const canHave = canHaveBias(layer) && layer.inMainGraph && applied.bits !== null;
    if (layer.bias !== null || !canHave || !correction.includes('mean')) return planned;
    const { outputChannels } = layer.layout;
    return {
      ...planned,
      layer: { ...layer, bias: tensorFromFloats([outputChannels], new Float32Array(outputChannels)) },
    };
  });
}

/** Tables depend on nothing, and products that share their weights follow them. */
function tablesFirst(layers: readonly PlannedLayer[]): PlannedLayer[] {
  return [...layers.filter(({ layer }) => layer.isTable), ...layers.filter(({ layer }) => !layer.isTable)];
}

function joinReasons(first: string | null, second: string): string {
  return first === null ? second : `${first}; ${second}`;
}
