import { throwIfCanceled } from '../cancellation.js';
import type { Dataset } from '../data/dataset.js';
import type { FeedPlan } from '../data/feed-plan.js';
import {
  intsValue,
  intValue,
  type Model,
  NameAllocator,
  type Node,
  type Tensor,
  tensorFromInt64,
} from '../ir/index.js';
import { makeNode } from '../passes/edit-graph.js';
import type { Runtime } from '../runtime/runtime.js';
import { loadScratchModel, withOutputs } from './observed-model.js';
import { sampleIndices, sampleRuns } from './sample-runs.js';

/** From this opset on ReduceMax takes its axes as an input. */
const AXES_INPUT_OPSET = 18;
const DEFAULT_MAX_SAMPLES = 256;

export interface ChannelMaximaRequest {
  readonly model: Model;
  /** float32 values of the main graph with channels on axis 1. */
  readonly values: readonly string[];
  readonly dataset: Dataset;
  readonly feedPlan: FeedPlan;
  readonly runtime: Runtime;
  /** An existing folder for scratch files. */
  readonly scratchDir: string;
  /** Samples to use, evenly spread over the dataset. Default 256. */
  readonly maxSamples?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The largest magnitude of each channel of values, over the samples; one number per channel leaves the engine.
 * @throws TritforgeError MODEL_RUN_FAILED, CANCELED, DATASET_EMPTY, and what reading the dataset throws
 */
export async function observeChannelMaxima(request: ChannelMaximaRequest): Promise<Map<string, Float32Array>> {
  const { dataset, feedPlan, maxSamples = DEFAULT_MAX_SAMPLES, signal } = request;
  const { model, outputs } = withMaxima(request.model, request.values);
  const maxima = new Map<string, Float32Array>();
  if (outputs.size === 0) return maxima;
  const session = await loadScratchModel(model, { ...request, options: { threads: 1, optimization: 'none' } });
  try {
    for await (const { feeds } of sampleRuns(dataset, feedPlan, sampleIndices(dataset.sampleCount, maxSamples))) {
      throwIfCanceled(signal);
      const results = await session.run(feeds);
      for (const [value, output] of outputs) {
        const found = results.get(output)!.data as Float32Array;
        const known = maxima.get(value);
        maxima.set(
          value,
          known === undefined ? Float32Array.from(found) : known.map((most, c) => Math.max(most, found[c]!)),
        );
      }
    }
    return maxima;
  } finally {
    await session.release();
  }
}

/** max over samples and places of |v| as the only outputs, by value. */
function withMaxima(model: Model, values: readonly string[]): { model: Model; outputs: ReadonlyMap<string, string> } {
  const names = new NameAllocator(model);
  const initializers = new Map<string, Tensor>(model.graph.initializers);
  const constant = (base: string, numbers: readonly number[]) => {
    const name = names.value(base);
    initializers.set(name, tensorFromInt64([numbers.length], numbers));
    return name;
  };
  const rows = constant('rows', [0, 0, -1]);
  const axes = (model.opsetImports.get('') ?? 0) >= AXES_INPUT_OPSET ? constant('axes', [0, 2]) : null;
  const nodes: Node[] = [];
  const add = (opType: string, inputs: string[], attributes: Parameters<typeof makeNode>[4] = {}) => {
    const output = names.value(`${inputs[0]}_${opType}`);
    nodes.push(makeNode(names.node(output), opType, inputs, [output], attributes));
    return output;
  };
  const outputs = new Map(
    values.map((value) => {
      const flat = add('Reshape', [add('Abs', [value]), rows]);
      const keepdims = intValue(0);
      const most =
        axes === null
          ? add('ReduceMax', [flat], { axes: intsValue([0, 2]), keepdims })
          : add('ReduceMax', [flat, axes], { keepdims });
      return [value, most] as const;
    }),
  );
  const graph = { ...model.graph, nodes: [...model.graph.nodes, ...nodes], initializers };
  return { model: withOutputs({ ...model, graph }, [...outputs.values()]), outputs };
}
