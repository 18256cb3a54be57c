import type { Feeds, HostTensor } from '../runtime/runtime.js';
import { castTensor } from './cast.js';
import type { Batch } from './dataset.js';
import { makeInput } from './decoder-inputs.js';
import type { FeedPlan, PlannedInput } from './feed-plan.js';

/** What one run of a model takes. */
export interface FeedRun {
  readonly feeds: Feeds;
  /** Samples of the batch in this run. */
  readonly samples: number;
  /** Copies of the last sample that fill a fixed batch; {@link trimPadding} cuts what the model makes of them. */
  readonly padding: number;
}

/**
 * The runs that take a batch through a model, in the order of its samples. Without a fixed batch dimension it is one.
 * Slices share memory with the batch where nothing had to be cast or padded.
 * @throws TritforgeError DATASET_DTYPE_MISMATCH when an integer does not fit the input's dtype
 */
export function feedsOf(plan: FeedPlan, batch: Batch): FeedRun[] {
  const tensors = plan.inputs.map((input) => castTensor(batch.inputs.get(input.array)!, input.dtype, input.array));
  const runSamples = plan.runSamples ?? batch.count;
  const runs: FeedRun[] = [];
  for (let start = 0; start < batch.count; start += runSamples) {
    const samples = Math.min(runSamples, batch.count - start);
    const fed = new Map(
      plan.inputs.map((input, i) => [input.input, runTensor(tensors[i]!, input, start, samples, runSamples)]),
    );
    const made = plan.made.map((input) => [input.input, makeInput(input, fed)] as const);
    runs.push({ feeds: new Map([...fed, ...made]), samples, padding: runSamples - samples });
  }
  return runs;
}

function runTensor(
  tensor: HostTensor,
  input: PlannedInput,
  start: number,
  samples: number,
  runSamples: number,
): HostTensor {
  const rows = padRows(sliceRows(tensor, start, samples), runSamples);
  return input.batched ? rows : { ...rows, shape: rows.shape.slice(1) };
}

/** Rows `start` to `start + count` of dimension 0, sharing memory. */
export function sliceRows(tensor: HostTensor, start: number, count: number): HostTensor {
  const rowElements = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
  const [from, to] = [start * rowElements, (start + count) * rowElements];
  const { data } = tensor;
  const slice = ArrayBuffer.isView(data) ? data.subarray(from, to) : data.slice(from, to);
  return { dtype: tensor.dtype, shape: [count, ...tensor.shape.slice(1)], data: slice };
}

function padRows(tensor: HostTensor, rows: number): HostTensor {
  const have = tensor.shape[0]!;
  if (have === rows) return tensor;
  const data = tensor.data as Float32Array;
  const rowElements = data.length / have;
  const padded = new (data.constructor as Float32ArrayConstructor)(rows * rowElements);
  padded.set(data);
  for (let row = have; row < rows; row++) padded.set(data.subarray((have - 1) * rowElements), row * rowElements);
  return { dtype: tensor.dtype, shape: [rows, ...tensor.shape.slice(1)], data: padded };
}

/**
 * Cuts from an output what a run computed for padding. An output whose dimension 0 is not a multiple of the run's
 * samples does not count samples there and is returned as it is.
 */
export function trimPadding(output: HostTensor, run: FeedRun): HostTensor {
  const total = run.samples + run.padding;
  const rows = output.shape[0];
  if (run.padding === 0 || rows === undefined || rows % total !== 0) return output;
  return sliceRows(output, 0, (rows / total) * run.samples);
}
