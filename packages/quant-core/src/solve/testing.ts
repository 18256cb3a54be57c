/** Random layers for tests: correlated inputs, and what a layer's loss is by its definition. */
import type { WeightLayout } from '../fgq/grouping.js';
import { gaussianWeights } from '../fgq/random-weights.js';
import { toColumns } from './column-order.js';
import type { InputMoments } from './input-moments.js';

/** Moments of inputs that share `factors` hidden causes, and of the outputs that `weights` give on other inputs near them. */
export function randomMoments(
  weights: Float32Array,
  layout: WeightLayout,
  { factors = 4, drift = 0, seed = 1 }: { factors?: number; drift?: number; seed?: number } = {},
): InputMoments {
  const columns = layout.inputChannels * layout.taps;
  const channels = layout.outputChannels;
  const rows = 4 * columns + 50;
  const causes = gaussianWeights(rows * factors, seed);
  const loadings = gaussianWeights(columns * factors, seed + 1);
  const noise = gaussianWeights(rows * columns, seed + 2);
  const drifts = gaussianWeights(rows * columns, seed + 3);
  const x = new Float64Array(rows * columns);
  const y = new Float64Array(rows * channels);
  const row = new Float64Array(columns);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < columns; k++) {
      let sum = 0.5 * noise[r * columns + k]!;
      for (let f = 0; f < factors; f++) sum += causes[r * factors + f]! * loadings[k * factors + f]!;
      x[r * columns + k] = Math.max(sum, 0) + drift * drifts[r * columns + k]!;
      row[k] = Math.max(sum, 0);
    }
    for (let oc = 0; oc < channels; oc++) y[r * channels + oc] = dot(channelRow(weights, layout, oc), row);
  }
  return momentsOf(x, y, rows, columns, channels);
}

/** Moments by their definition. */
export function momentsOf(
  x: Float64Array,
  y: Float64Array,
  rows: number,
  columns: number,
  channels: number,
): InputMoments {
  const mean = means(x, rows, columns);
  const outputMean = means(y, rows, channels);
  const second = new Float64Array(columns * columns);
  const cross = new Float64Array(columns * channels);
  const outputVariance = new Float64Array(channels);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < columns; i++) {
      const xi = (x[r * columns + i]! - mean[i]!) / rows;
      for (let j = 0; j < columns; j++) second[i * columns + j]! += xi * (x[r * columns + j]! - mean[j]!);
      for (let c = 0; c < channels; c++) cross[i * channels + c]! += xi * (y[r * channels + c]! - outputMean[c]!);
    }
    for (let c = 0; c < channels; c++) outputVariance[c]! += (y[r * channels + c]! - outputMean[c]!) ** 2 / rows;
  }
  return { columns, rows, mean, second, cross, outputMean, outputVariance };
}

/** (w − q) H (w − q)ᵀ + λ‖w − q‖², summed over output channels. */
export function lossOf(
  weights: Float32Array,
  decoded: Float32Array,
  layout: WeightLayout,
  { columns, second }: InputMoments,
  ridge = 0,
): number {
  let loss = 0;
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const error = channelRow(weights, layout, oc);
    channelRow(decoded, layout, oc).forEach((value, k) => {
      error[k]! -= value;
    });
    for (let i = 0; i < columns; i++) {
      loss += error[i]! * (dot(error, second.subarray(i * columns, (i + 1) * columns)) + ridge * error[i]!);
    }
  }
  return loss;
}

/** E‖Wx − y‖² after the means are matched, by the moments alone: wHwᵀ − 2 w·c + σ², summed over output channels. */
export function outputError(decoded: Float32Array, layout: WeightLayout, moments: InputMoments): number {
  const { columns, second, cross, outputVariance } = moments;
  let error = 0;
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const row = channelRow(decoded, layout, oc);
    error += outputVariance[oc]!;
    for (let i = 0; i < columns; i++) {
      const product = dot(row, second.subarray(i * columns, (i + 1) * columns));
      error += row[i]! * (product - 2 * cross[i * layout.outputChannels + oc]!);
    }
  }
  return error;
}

/** The weights of one output channel, in the order of columns. */
function channelRow(weights: Float32Array, { inputChannels, taps }: WeightLayout, channel: number): Float64Array {
  const own = weights.subarray(channel * inputChannels * taps, (channel + 1) * inputChannels * taps);
  return toColumns(own, { outputChannels: 1, inputChannels, taps });
}

function means(values: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from({ length: columns }, (_, k) => {
    let sum = 0;
    for (let r = 0; r < rows; r++) sum += values[r * columns + k]!;
    return sum / rows;
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
