/**
 * Where the input windows of a layer and its outputs lie in the tensors around it.
 *
 * Both tensors are seen as [images, channels, places], row-major: a convolution's [N, C, spatial…], for a product with the
 * weight on the right [rows, IC, 1], with the weight on the left [batch, IC, N]. A position is one place of one image of
 * the output; its window is what the layer multiplies with the weights of one output channel there.
 */

import { elementCount, intAttribute, intsAttribute, type Node, stringAttribute } from '../ir/index.js';
import type { Layer } from '../layers/layer.js';

export type Floats = Float32Array | Float64Array;

/** A tensor as [images, channels, places]. */
interface Planes {
  readonly images: number;
  readonly channels: number;
  readonly places: number;
}

/** Convolution groups of a layer; 1 for linear layers. */
export function groupsOf({ node }: Layer): number {
  return node.opType === 'Conv' ? intAttribute(node, 'group', 1) : 1;
}

/** The windows of a layer in an input of one shape, and the outputs made from them. */
export class LayerWindows {
  /** Number of positions, over all images. */
  readonly positions: number;
  readonly #x: Planes;
  readonly #y: Planes;
  readonly #inputChannels: number;
  /** Output channels of one convolution group. */
  readonly #outputs: number;
  /** Where each tap of the window at hand is in the plane of a channel; −1 in the padding. */
  readonly #taps: Int32Array;
  readonly #findTaps: ((place: number, taps: Int32Array) => void) | null;

  /** @throws RangeError when the layer does not make an output of this shape from such an input */
  constructor(layer: Layer, xShape: readonly number[], yShape: readonly number[]) {
    const { inputChannels, outputChannels, taps } = layer.layout;
    const groups = groupsOf(layer);
    const isConvolution = layer.node.opType === 'Conv';
    const [x, y] = planesOf(layer, xShape, yShape);
    const isComplete = isConvolution ? x.images === y.images : x.images * x.places === y.images * y.places;
    if (x.channels !== groups * inputChannels || y.channels !== outputChannels || !isComplete) {
      throw new RangeError(
        `layer ${layer.node.name} does not make an output of shape [${yShape}] from an input of shape [${xShape}]`,
      );
    }
    this.positions = y.images * y.places;
    this.#x = x;
    this.#y = y;
    this.#inputChannels = inputChannels;
    this.#outputs = outputChannels / groups;
    this.#taps = new Int32Array(taps);
    this.#findTaps = isConvolution ? tapFinder(layer, xShape, yShape) : null;
  }

  /**
   * Writes the windows of all convolution groups at a position, tap-major: element tap·IC + ic. Padding is zero.
   * @param x data of the layer's input
   * @param targets one per group, written from element `at` on
   */
  copyWindows(x: Floats, position: number, targets: readonly Float32Array[], at: number): void {
    const inputs = this.#inputChannels;
    const { places, channels } = this.#x;
    let channel = this.#locate(position) * channels;
    for (const target of targets) {
      for (let tap = 0, to = at; tap < this.#taps.length; tap++, to += inputs) {
        const from = this.#taps[tap]!;
        if (from < 0) target.fill(0, to, to + inputs);
        else for (let ic = 0; ic < inputs; ic++) target[to + ic] = x[(channel + ic) * places + from]!;
      }
      channel += inputs;
    }
  }

  /** Writes the outputs of all convolution groups at a position, like {@link copyWindows}. @param y data of the layer's output */
  copyOutputs(y: Floats, position: number, targets: readonly Float32Array[], at: number): void {
    const { places, channels } = this.#y;
    const place = position % places;
    let channel = Math.floor(position / places) * channels;
    for (const target of targets) {
      for (let oc = 0; oc < this.#outputs; oc++) target[at + oc] = y[channel++ * places + place]!;
    }
  }

  /** Finds the taps of a position; @returns the image of the input that it is in */
  #locate(position: number): number {
    const { places } = this.#findTaps === null ? this.#x : this.#y;
    const place = position % places;
    if (this.#findTaps === null) this.#taps[0] = place;
    else this.#findTaps(place, this.#taps);
    return Math.floor(position / places);
  }
}

function planesOf({ node, weightPosition }: Layer, x: readonly number[], y: readonly number[]): [Planes, Planes] {
  if (node.opType === 'Conv') return [planes(x, 1), planes(y, 1)];
  if (node.opType === 'Gemm' && intAttribute(node, 'transA', 0) === 1) return [planes(x, 0), planes(y, y.length - 1)];
  if (weightPosition === 0 && x.length > 1) return [planes(x, x.length - 2), planes(y, y.length - 2)];
  return [planes(x, x.length - 1), planes(y, y.length - 1)];
}

function planes(shape: readonly number[], channelAxis: number): Planes {
  return {
    images: elementCount(shape.slice(0, channelAxis)),
    channels: shape[channelAxis] ?? 0,
    places: elementCount(shape.slice(channelAxis + 1)),
  };
}

/**
 * For a place of the output, the place of the input under each tap, −1 in the padding. Along each axis
 *
 *   in = out·stride − padBegin + kernel·dilation
 */
function tapFinder(
  { node, weight }: Layer,
  xShape: readonly number[],
  yShape: readonly number[],
): (place: number, taps: Int32Array) => void {
  const kernel = weight.shape.slice(2);
  const [inputSize, outputSize] = [xShape.slice(2), yShape.slice(2)];
  const ones = kernel.map(() => 1);
  const strides = intsAttribute(node, 'strides', ones);
  const dilations = intsAttribute(node, 'dilations', ones);
  const pads = padBegins(node, kernel, inputSize, strides, dilations);
  return (place, taps) => {
    taps.fill(0);
    let outer = place;
    let inputStride = 1;
    let kernelStride = 1;
    for (let axis = kernel.length - 1; axis >= 0; axis--) {
      const [k, size] = [kernel[axis]!, inputSize[axis]!];
      const origin = (outer % outputSize[axis]!) * strides[axis]! - pads[axis]!;
      outer = Math.floor(outer / outputSize[axis]!);
      for (let tap = 0; tap < taps.length; tap++) {
        const along = origin + (Math.floor(tap / kernelStride) % k) * dilations[axis]!;
        if (along < 0 || along >= size) taps[tap] = -1;
        else if (taps[tap]! >= 0) taps[tap] = taps[tap]! + along * inputStride;
      }
      inputStride *= size;
      kernelStride *= k;
    }
  };
}

/** Zeros in front of each axis. With SAME_UPPER an odd one goes to the end, with SAME_LOWER to the front. */
function padBegins(
  node: Node,
  kernel: readonly number[],
  inputSize: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): readonly number[] {
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  const none = kernel.map(() => 0);
  if (autoPad === 'VALID') return none;
  if (!autoPad.startsWith('SAME')) return intsAttribute(node, 'pads', none);
  return kernel.map((size, axis) => {
    const stride = strides[axis]!;
    const extent = (size - 1) * dilations[axis]! + 1;
    const total = Math.max(0, (Math.ceil(inputSize[axis]! / stride) - 1) * stride + extent - inputSize[axis]!);
    return autoPad === 'SAME_LOWER' ? Math.ceil(total / 2) : Math.floor(total / 2);
  });
}
