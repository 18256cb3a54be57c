/**
 * What each precision of each layer takes, measured on the layer alone, as the first artifact profile stores it:
 *
 *   x ─▶ layer(x, w, b) ─▶ y         quantized as in the network, x of the shape that it has there
 *
 * The precisions of a layer run against each other in one process. Layers of the same operator and the same shapes are measured
 * once.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LayerPrecision, ResolvedRecipe } from '@tritforge/contracts';
import { planActivations } from '../activations/plan-activations.js';
import { writeArtifact } from '../artifact/write-artifacts.js';
import { type Laboratory, loadScratchModel, withShapeOutputs } from '../calibrate/observed-model.js';
import { affineFor } from '../calibrate/value-range.js';
import { throwIfCanceled } from '../cancellation.js';
import { type Contestant, compareLatency, syntheticFeeds } from '../evaluate/index.js';
import type { Model } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import type { Layer } from '../layers/layer.js';
import type { Feeds, Runtime, Session, SessionOptions } from '../runtime/runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { blankNetwork } from './blank-network.js';
import type { Unit, WeightPrecision } from './precisions.js';

export interface LayerLatencyOptions {
  /** After all passes. */
  readonly prepared: Model;
  readonly units: readonly Unit[];
  readonly recipe: ResolvedRecipe;
  /** A sample, which tells the shapes. */
  readonly feeds: Feeds;
  /** What networks are to run on. */
  readonly runtime: Runtime;
  readonly sessionOptions: SessionOptions;
  readonly scratchDir: string;
  readonly signal?: AbortSignal | undefined;
}

/** Time for a layer, and rounds at least. */
const BUDGET_MS = 300;
const FEWEST_ROUNDS = 9;
/** Precisions that differ by less are as fast as each other. */
const SMALLEST_DIFFERENCE = 0.05;

/** @returns milliseconds of each precision of each unit, all of its layers together */
export async function measureLayerLatencies(options: LayerLatencyOptions): Promise<number[][]> {
  const shapes = await inputShapes(options);
  const known = new Map<string, Promise<number[]>>();
  const latencies: number[][] = [];
  for (const { layers, precisions } of options.units) {
    const total = precisions.map(() => 0);
    for (const layer of layers) {
      throwIfCanceled(options.signal);
      const shape = shapes.get(inputOf(layer))!;
      const key = JSON.stringify([keyOf(layer), shape, precisions]);
      if (!known.has(key)) known.set(key, measureLayer(layer, shape, precisions, options));
      for (const [i, ms] of (await known.get(key)!).entries()) total[i]! += ms;
    }
    latencies.push(total);
  }
  return latencies;
}

function inputOf({ node, weightPosition }: Layer): string {
  return node.inputs[1 - weightPosition]!;
}

/** What decides how long a layer takes, besides its input. */
function keyOf({ node, layout, bias, weightPosition }: Layer): unknown[] {
  const attributes = [...node.attributes].map(([name, { value }]) => `${name}=${value}`).sort();
  return [node.opType, attributes, layout, bias !== null, weightPosition];
}

async function inputShapes({ prepared, units, feeds, runtime, scratchDir }: LayerLatencyOptions) {
  const values = [...new Set(units.flatMap(({ layers }) => layers.map(inputOf)))];
  const { model, outputs } = withShapeOutputs(prepared, values);
  const laboratory: Laboratory = { runtime, scratchDir, options: { threads: 1, optimization: 'none' } };
  const session = await loadScratchModel(model, laboratory);
  try {
    const results = await session.run(feeds);
    return new Map(
      values.map((value, i) => [value, Array.from(results.get(outputs[i]!)!.data as BigInt64Array, Number)]),
    );
  } finally {
    await session.release();
  }
}

async function measureLayer(
  layer: Layer,
  shape: readonly number[],
  precisions: readonly WeightPrecision[],
  options: LayerLatencyOptions,
): Promise<number[]> {
  const folder = join(options.scratchDir, 'layer');
  await mkdir(folder);
  const sessions: Session[] = [];
  try {
    const model = soloModel(options.prepared, layer, shape);
    const feeds = syntheticFeeds([{ name: inputOf(layer), dtype: 'float32', shape }], options.recipe.seed);
    const contestants: Contestant[] = [];
    for (const [i, precision] of precisions.entries()) {
      const path = await writeSolo(model, precision, `${i}`, folder, options.recipe);
      const session = await options.runtime.load(path, options.sessionOptions);
      sessions.push(session);
      contestants.push({ name: `${i}`, session, feeds });
    }
    const timing = { budgetMs: BUDGET_MS, minRounds: FEWEST_ROUNDS, signal: options.signal };
    const { results } = await compareLatency(contestants, timing);
    return withoutNoise(precisions.map((_, i) => results.get(`${i}`)!.medianMs));
  } finally {
    for (const session of sessions) await session.release();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A search must not chase what differs by chance. */
function withoutNoise(ms: readonly number[]): number[] {
  const sorted = ms.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)]!;
  const isNoise = sorted.at(-1)! - sorted[0]! < SMALLEST_DIFFERENCE * median;
  return ms.map((value) => (isNoise ? median : value));
}

/** A network of the layer alone. */
function soloModel({ graph, ...model }: Model, { node, weightName }: Layer, shape: readonly number[]): Model {
  const constants = node.inputs.flatMap((name) => {
    const tensor = graph.initializers.get(name);
    return tensor === undefined ? [] : ([[name, tensor]] as const);
  });
  const [input] = node.inputs.filter((name) => name !== weightName && !graph.initializers.has(name));
  return {
    ...model,
    functions: [],
    graph: {
      name: 'layer',
      nodes: [node],
      inputs: [{ name: input!, dtype: 'float32', shape }],
      outputs: [{ name: node.outputs[0]!, dtype: 'float32', shape: null }],
      initializers: new Map(constants),
      valueInfo: new Map(),
    },
  };
}

async function writeSolo(
  prepared: Model,
  precision: WeightPrecision,
  name: string,
  folder: string,
  recipe: ResolvedRecipe,
): Promise<string> {
  const layer = findLayers(prepared).layers[0]!;
  const activationBits = layer.floatInputReason === null ? recipe.activations.bits : null;
  const applied: LayerPrecision = { ...precision, activationBits };
  const plan = [{ layer, requested: applied, applied, reason: null }];
  const activations = await planActivations(prepared.graph, plan, recipe.activations.shortcuts);
  const scales = new Map(
    activations.observed.map((value) => {
      const maxCode = activations.maxCodes.get(value)!;
      const isPositive = activations.nonNegative.has(value);
      return [value, { ...affineFor(isPositive ? 0 : -1, 1, isPositive, maxCode), maxCode }];
    }),
  );
  const scratch = new ScratchTensors(join(folder, `${name}.bin`));
  const network = await blankNetwork({ prepared, layers: plan, activations, scales }, recipe, scratch);
  const profile = recipe.artifacts[0]!;
  return (await writeArtifact(network, profile, folder, `${name}.onnx`, scratch)).path;
}
