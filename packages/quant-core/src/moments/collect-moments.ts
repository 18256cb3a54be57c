import { TritforgeError } from '@tritforge/contracts';
import { throwIfCanceled } from '../cancellation.js';
import type { Layer } from '../layers/layer.js';
import type { SampleValues } from '../prefix/sample-values.js';
import { hostFloats } from '../runtime/host-floats.js';
import type { Runtime } from '../runtime/runtime.js';
import type { InputMoments } from '../solve/input-moments.js';
import { choosePositions } from './choose-positions.js';
import { type Floats, groupsOf, LayerWindows } from './layer-windows.js';
import { MomentSums } from './moment-sums.js';
import { OutputPlayer, OutputRecorder, type RecordedOutputs } from './recorded-outputs.js';
import { TransposedProducts } from './transposed-products.js';

/** Rows that are multiplied in float32 before they join sums in float64, and the elements that they may have. */
const CHUNK_ROWS = 2048;
const CHUNK_ELEMENTS = 8 * 2 ** 20;

export interface MomentsOptions {
  readonly runtime: Runtime;
  /** An existing folder for scratch files; what is put there is removed again. */
  readonly scratchDir: string;
  /** Windows to use at most; all of them when there are not more. */
  readonly maxRows: number;
  /** Which windows are drawn when not all are used. */
  readonly seed: number;
  /** Takes the outputs that were used; see {@link RecordedOutputs}. */
  readonly onOutputs?: ((outputs: RecordedOutputs) => Promise<void>) | undefined;
  /** What is added to the layer's output, of its shapes: y is the sum then, and the moments are those of y without it. */
  readonly addend?: SampleValues | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Moments of a layer's input windows and of the outputs at the same places, in one pass over the runs. Windows are drawn
 * over all runs, all of their images and all parts of an image. Deterministic: one thread, fixed order of sums.
 * @param layer a Conv of any number of spatial axes, a Gemm, or a MatMul with its weight on either side
 * @param x the layer's input; what the moments are of
 * @param y the layer's output as the original network computes it, of the same shapes as if computed from x; or what was
 * recorded of it with the same `maxRows` and `seed`
 * @returns one per convolution group, in their order; all zero, with 0 rows, when the runs hold no positions
 * @throws RangeError when x and y do not fit the layer or each other
 * @throws TritforgeError MODEL_NONFINITE_ACTIVATIONS, CANCELED
 */
export async function collectMoments(
  layer: Layer,
  x: SampleValues,
  y: SampleValues | RecordedOutputs,
  options: MomentsOptions,
): Promise<InputMoments[]> {
  const { runtime, scratchDir } = options;
  const products = await TransposedProducts.open({
    runtime,
    scratchDir,
    options: { threads: 1, optimization: 'none' },
  });
  try {
    return await new Collector(layer, products).collect(x, y, options);
  } finally {
    await products.release();
  }
}

/** Bytes of memory that {@link collectMoments} takes for a layer, most of them for its result: 8·K·(K + OC) per group. */
export function momentsByteLength(layer: Layer): number {
  const { columns, outputs, groups } = dimensionsOf(layer);
  const result = groups * columns * (columns + outputs) * Float64Array.BYTES_PER_ELEMENT;
  const chunk = groups * (columns + outputs) * chunkRows(layer) * Float32Array.BYTES_PER_ELEMENT;
  return result + 2 * chunk;
}

interface Dimensions {
  readonly groups: number;
  /** K and OC of one convolution group. */
  readonly columns: number;
  readonly outputs: number;
}

function dimensionsOf(layer: Layer): Dimensions {
  const { inputChannels, outputChannels, taps } = layer.layout;
  const groups = groupsOf(layer);
  return { groups, columns: inputChannels * taps, outputs: outputChannels / groups };
}

function chunkRows(layer: Layer): number {
  const { groups, columns, outputs } = dimensionsOf(layer);
  return Math.min(CHUNK_ROWS, Math.max(1, Math.floor(CHUNK_ELEMENTS / (groups * (columns + outputs)))));
}

/** What one run holds for a layer. */
interface RunValues {
  readonly windows: LayerWindows;
  /** Which positions are wanted. */
  readonly positions: Int32Array;
  readonly x: Floats;
  readonly y: Floats | OutputPlayer;
  readonly addend: Floats | null;
}

/** Gathers rows into a chunk per convolution group, and adds full chunks to the sums. */
class Collector {
  readonly #layer: Layer;
  readonly #products: TransposedProducts;
  readonly #dimensions: Dimensions;
  readonly #sums: readonly MomentSums[];
  readonly #chunks: readonly Float32Array[];
  /** What is added to the outputs of one position. */
  readonly #addends: readonly Float32Array[];
  readonly #capacity: number;
  #rows = 0;

  constructor(layer: Layer, products: TransposedProducts) {
    this.#layer = layer;
    this.#products = products;
    this.#dimensions = dimensionsOf(layer);
    this.#capacity = chunkRows(layer);
    const { groups, columns, outputs } = this.#dimensions;
    this.#sums = Array.from({ length: groups }, () => new MomentSums(columns, outputs));
    this.#chunks = Array.from({ length: groups }, () => new Float32Array(this.#capacity * (columns + outputs)));
    this.#addends = Array.from({ length: groups }, () => new Float32Array(outputs));
  }

  async collect(
    x: SampleValues,
    y: SampleValues | RecordedOutputs,
    { maxRows, seed, onOutputs, addend, signal }: MomentsOptions,
  ): Promise<InputMoments[]> {
    const isRecorded = 'rows' in y;
    const shapes = isRecorded ? y.shapes : Array.from({ length: y.runCount }, (_, run) => y.shape(run));
    const windows = shapes.map((shape, run) => new LayerWindows(this.#layer, x.shape(run), shape));
    const chosen = choosePositions(
      windows.map(({ positions }) => positions),
      maxRows,
      seed,
    );
    const { outputs, groups } = this.#dimensions;
    const rows = chosen.reduce((sum, { length }) => sum + length, 0);
    const recorder = onOutputs === undefined ? null : new OutputRecorder(shapes, rows, groups * outputs);
    const player = isRecorded ? new OutputPlayer(y) : null;
    for (const [run, positions] of chosen.entries()) {
      throwIfCanceled(signal);
      if (positions.length === 0) continue;
      const source = player ?? hostFloats(await (y as SampleValues).read(run));
      const summand = addend === undefined ? null : hostFloats(await addend.read(run));
      const values = {
        windows: windows[run]!,
        positions,
        x: hostFloats(await x.read(run)),
        y: source,
        addend: summand,
      };
      await this.#addRows(values, recorder);
    }
    await this.#flush();
    if (recorder !== null) await onOutputs!(recorder.finish());
    return this.#sums.map((sums) => this.#checked(sums.finish()));
  }

  async #addRows({ windows, positions, x, y, addend }: RunValues, recorder: OutputRecorder | null): Promise<void> {
    const { columns, outputs } = this.#dimensions;
    for (const position of positions) {
      const at = this.#rows * (columns + outputs);
      windows.copyWindows(x, position, this.#chunks, at);
      if (y instanceof OutputPlayer) y.copy(this.#chunks, at + columns, outputs);
      else windows.copyOutputs(y, position, this.#chunks, at + columns);
      recorder?.add(this.#chunks, at + columns, outputs);
      if (addend !== null) {
        windows.copyOutputs(addend, position, this.#addends, 0);
        this.#subtractAddends(at + columns);
      }
      this.#rows++;
      if (this.#rows === this.#capacity) await this.#flush();
    }
  }

  #subtractAddends(at: number): void {
    for (const [group, addends] of this.#addends.entries()) {
      const chunk = this.#chunks[group]!;
      for (let oc = 0; oc < addends.length; oc++) chunk[at + oc] = chunk[at + oc]! - addends[oc]!;
    }
  }

  async #flush(): Promise<void> {
    for (const [group, sums] of this.#sums.entries()) await sums.add(this.#chunks[group]!, this.#rows, this.#products);
    this.#rows = 0;
  }

  /** @throws TritforgeError MODEL_NONFINITE_ACTIVATIONS */
  #checked(moments: InputMoments): InputMoments {
    const { node } = this.#layer;
    const { mean, outputMean, outputVariance } = moments;
    if ([mean, outputMean, outputVariance].every((values) => values.every(Number.isFinite))) return moments;
    throw new TritforgeError(
      'MODEL_NONFINITE_ACTIVATIONS',
      `inputs or outputs of ${node.name} become NaN or infinite on the calibration data`,
      {
        node: node.name,
        opType: node.opType,
        field: 'datasets.calibration',
        remediation: 'Check the preprocessing of the data, or exclude the layer.',
      },
    );
  }
}
