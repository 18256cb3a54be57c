/**
 * Why a layer loses accuracy. Each cause is the power of the noise that it adds to the outputs of the layer, over the variance
 * of these outputs, for inputs that are not correlated; so causes compare with each other.
 *
 *   deadGroups           Σ w² · var(x) over the groups whose scale became zero
 *   sharedScaleMismatch  Σ q² · s²/12 · var(x): scales of groups, or int8 weights, are multiples of the scale s of their channel
 *   saturation           Σ w² · E[(x − clip x)²]: inputs outside of their range
 *   rangeOutlier         Σ w² · (d² − d₉₉.₉²)/12: steps d of the input, wider than those its inner 99.9 % would need
 *   inputShift           Σ (w · Δμ)²: means of the inputs, moved by the layers before
 */
import type { DamageCause } from '@tritforge/contracts';
import type { ActivationScale } from '../artifact/build-graph.js';
import { Histogram } from '../calibrate/histogram.js';
import type { GroupedWeights, WeightLayout } from '../fgq/index.js';
import type { WeightCodes } from '../layers/encoded-weight.js';
import { toColumns } from '../solve/column-order.js';
import type { InputMoments } from '../solve/index.js';

/** Causes below are not worth a line. */
const SMALLEST_NOISE = 1e-4;
/** Share of an input's values that its inner range leaves out at either end. */
const OUTER_SHARE = 0.0005;

/** Noise power by cause. */
export type Noise = Partial<Readonly<Record<DamageCause['cause'], number>>>;

/** The worst first, without what hardly matters. */
export function rankCauses(noise: Noise): DamageCause[] {
  return (Object.entries(noise) as [DamageCause['cause'], number][])
    .map(([cause, power]) => ({ cause, noise: power }))
    .filter((cause) => cause.noise >= SMALLEST_NOISE)
    .sort((a, b) => b.noise - a.noise);
}

/** What describes a layer in the original network. */
export interface LayerStatistics {
  readonly layout: WeightLayout;
  /** [OC, K] in the order of columns. */
  readonly weights: Float64Array;
  /** var(x) and μ of the columns of each convolution group. */
  readonly groups: readonly { readonly variance: Float64Array; readonly mean: Float64Array }[];
  /** Σ var(y) over all output channels. */
  readonly signal: number;
}

/** @param weights [OC, IC, taps] @param moments one per convolution group, of the original network */
export function layerStatistics(
  weights: Float32Array,
  layout: WeightLayout,
  moments: readonly InputMoments[],
): LayerStatistics {
  return {
    layout,
    weights: toColumns(weights, layout),
    groups: moments.map(({ columns, second, mean }) => ({
      variance: Float64Array.from({ length: columns }, (_, k) => second[k * columns + k]!),
      mean,
    })),
    signal: moments.reduce((sum, { outputVariance }) => sum + outputVariance.reduce((a, b) => a + b, 0), 0),
  };
}

/** What the codes of a layer add. */
export function weightNoise(codes: WeightCodes, statistics: LayerStatistics): Noise {
  if (codes.kind === 'int8') {
    return { sharedScaleMismatch: sumOver(statistics, (_, oc) => codes.weights.scales[oc]! ** 2 / 12) };
  }
  // Four levels are coarse whatever their scale.
  if (codes.kind === 'int2') return {};
  const { groupSize, channelScales, residual }: GroupedWeights = codes.weights;
  const { layout } = statistics;
  const planes = residual === undefined ? [codes.weights] : [codes.weights, residual];
  const scaleOf = (at: Place) => planes.map(({ groupCodes }) => groupCodes[groupIndex(at, layout, groupSize)]!);
  return {
    deadGroups: sumOver(statistics, (w, _, at) => (scaleOf(at).every((code) => code === 0) ? w * w : 0)),
    sharedScaleMismatch: sumOver(statistics, (_, oc, at) => {
      const squares = planes.reduce((sum, plane) => sum + plane.codes[weightIndex(at, layout)]! ** 2, 0);
      return (squares * channelScales[oc]! ** 2) / 12;
    }),
  };
}

/** A weight. */
interface Place {
  readonly oc: number;
  readonly ic: number;
  readonly tap: number;
}

/** Σ power · var(x) over all weights, over the signal. */
function sumOver(
  { layout, weights, groups, signal }: LayerStatistics,
  power: (weight: number, oc: number, at: Place) => number,
): number {
  const { outputChannels, inputChannels, taps } = layout;
  const columns = inputChannels * taps;
  let sum = 0;
  for (let oc = 0; oc < outputChannels; oc++) {
    const { variance } = groups[Math.floor((oc * groups.length) / outputChannels)]!;
    for (let k = 0; k < columns; k++) {
      const at = { oc, ic: k % inputChannels, tap: Math.floor(k / inputChannels) };
      sum += power(weights[oc * columns + k]!, oc, at) * variance[k]!;
    }
  }
  return ratio(sum, signal);
}

function weightIndex({ oc, ic, tap }: Place, { inputChannels, taps }: WeightLayout): number {
  return (oc * inputChannels + ic) * taps + tap;
}

function groupIndex({ oc, ic, tap }: Place, { inputChannels, taps }: WeightLayout, groupSize: number): number {
  return (oc * Math.ceil(inputChannels / groupSize) + Math.floor(ic / groupSize)) * taps + tap;
}

/** Means of the inputs that moved. @param means of each convolution group, in the quantized network */
export function shiftNoise(
  means: readonly Float64Array[],
  { layout, weights, groups, signal }: LayerStatistics,
): Noise {
  const columns = layout.inputChannels * layout.taps;
  let sum = 0;
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const group = Math.floor((oc * groups.length) / layout.outputChannels);
    const { mean } = groups[group]!;
    let shift = 0;
    for (let k = 0; k < columns; k++) shift += weights[oc * columns + k]! * (means[group]![k]! - mean[k]!);
    sum += shift * shift;
  }
  return { inputShift: ratio(sum, signal) };
}

/** Watches the values that a layer takes in. */
export class InputWatch {
  readonly #scale: ActivationScale;
  readonly #histogram = new Histogram();
  #clipped = 0;
  #count = 0;

  constructor(scale: ActivationScale) {
    this.#scale = scale;
  }

  add(values: Float32Array | Float64Array): void {
    this.#histogram.add(values);
    const { scale, zeroPoint, maxCode } = this.#scale;
    const [low, high] = [-zeroPoint * scale, (maxCode - zeroPoint) * scale];
    for (const value of values) this.#clipped += (value - Math.min(high, Math.max(low, value))) ** 2;
    this.#count += values.length;
  }

  /** What the quantization of the input adds. */
  noise({ weights, signal }: LayerStatistics): Noise {
    const { scale, maxCode } = this.#scale;
    const inner = this.#innerWidth() / maxCode;
    const gain = weights.reduce((sum, w) => sum + w * w, 0);
    return {
      saturation: ratio((gain * this.#clipped) / Math.max(this.#count, 1), signal),
      rangeOutlier: ratio((gain * Math.max(0, scale ** 2 - inner ** 2)) / 12, signal),
    };
  }

  /** Of the values without the outermost ones, zero included. */
  #innerWidth(): number {
    const { lower, upper, counts } = this.#histogram.cells();
    const outer = OUTER_SHARE * counts.reduce((sum, count) => sum + count, 0);
    const first = firstBeyond(counts, outer);
    const last = counts.length - 1 - firstBeyond(counts.toReversed(), outer);
    return Math.max(upper[last] ?? 0, 0) - Math.min(lower[first] ?? 0, 0);
  }
}

/** The first cell at which more than `outer` values have been seen. */
function firstBeyond(counts: Float64Array, outer: number): number {
  let seen = 0;
  const index = counts.findIndex((count) => {
    seen += count;
    return seen > outer;
  });
  return Math.max(index, 0);
}

function ratio(noise: number, signal: number): number {
  if (noise === 0) return 0;
  return signal > 0 ? noise / signal : Number.MAX_VALUE;
}
