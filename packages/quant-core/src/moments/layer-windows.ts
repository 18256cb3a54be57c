/**
 * Where the input windows of a layer and its outputs lie in the tensors around it.
 *
 * Both tensors are seen as [images, channels, places], row-major: a convolution's [N, C, spatial…], for a product with the
 * weight on the right [rows, IC, 1], with the weight on the left [batch, IC, N]. A position is one place of one image of
 * the output; its window is what the layer multiplies with the weights of one output channel there.
 */

import { intAttribute, intsAttribute, type Node, stringAttribute } from '../ir/index.js';
import type { Layer } from '../layers/layer.js';

type Floats = Float32Array | Float64Array;

/** A tensor as [images, channels, places]. */
interface Planes {
  readonly channels: number;
  readonly places: number;
}

/** Windows of one input tensor and the outputs computed from it. */
export interface LayerWindows {
  /** Number of positions, over all images of the tensor. */
  readonly positions: number;
  /**
   * Writes the window of a convolution group at a position, tap-major: element tap·IC + ic. Padding is zero.
   * @param x the layer's input
   */
  copyWindow(x: Floats, position: number, group: number, target: Float32Array, at: number): void;
  /** Writes the outputs of a convolution group at a position. @param y the layer's output */
  copyOutputs(y: Floats, position: number, group: number, target: Float32Array, at: number): void;
}

/** Convolution groups of a layer; 1 for linear layers. */
export function groupsOf({ node }: Layer): number {
  return node.opType === 'Conv' ? intAttribute(node, 'group', 1) : 1;
}

/**
 * The windows of a layer for tensors of these shapes.
 * @throws RangeError when the layer cannot make an output of this shape from such an input
 */
export function layerWindows(layer: Layer, xShape: readonly number[], yShape: readonly number[]): LayerWindows {
  const { inputChannels, outputChannels, taps } = layer.layout;
  const groups = groupsOf(layer);
  const [x, y] = planesOf(layer, xShape, yShape);
  const images = product(yShape) / (y.channels * y.places);
  const placesOfTaps = layer.node.opType === 'Conv' ? convolutionPlaces(layer, xShape, yShape) : null;
  if (x.channels !== groups * inputChannels || y.channels !== outputChannels || !Number.isInteger(images)) {
    throw new RangeError(
      `layer ${layer.node.name} does not make an output of shape [${yShape}] from an input of shape [${xShape}]`,
    );
  }
  const positions = images * y.places;
  const outputsOfGroup = outputChannels / groups;
  const places = new Int32Array(taps);
  return {
    positions,
    copyWindow(data, position, group, target, at) {
      const image = Math.floor(position / (placesOfTaps ? y.places : x.places));
      const place = position % (placesOfTaps ? y.places : x.places);
      if (placesOfTaps === null) places[0] = place;
      else placesOfTaps(place, places);
      const start = (image * x.channels + group * inputChannels) * x.places;
      for (let tap = 0; tap < taps; tap++) {
        const first = at + tap * inputChannels;
        const from = places[tap]!;
        if (from < 0) target.fill(0, first, first + inputChannels);
        else for (let ic = 0; ic < inputChannels; ic++) target[first + ic] = data[start + ic * x.places + from]!;
      }
    },
    copyOutputs(data, position, group, target, at) {
      const image = Math.floor(position / y.places);
      const start = (image * y.channels + group * outputsOfGroup) * y.places + (position % y.places);
      for (let oc = 0; oc < outputsOfGroup; oc++) target[at + oc] = data[start + oc * y.places]!;
    },
  };
}

function planesOf({ node, weightPosition }: Layer, x: readonly number[], y: readonly number[]): [Planes, Planes] {
  if (node.opType === 'Conv') {
    return [
      { channels: x[1] ?? 0, places: product(x.slice(2)) },
      { channels: y[1] ?? 0, places: product(y.slice(2)) },
    ];
  }
  if (node.opType === 'Gemm' && intAttribute(node, 'transA', 0) === 1) {
    return [
      { channels: x[0] ?? 0, places: x[1] ?? 0 },
      { channels: y[1] ?? 0, places: 1 },
    ];
  }
  if (weightPosition === 0 && x.length > 1) {
    return [
      { channels: x.at(-2)!, places: x.at(-1)! },
      { channels: y.at(-2) ?? 0, places: y.at(-1) ?? 0 },
    ];
  }
  return [
    { channels: x.at(-1) ?? 0, places: 1 },
    { channels: y.at(-1) ?? 0, places: 1 },
  ];
}

/**
 * For a place of the output, the place of the input under each tap, −1 in the padding. Along each axis
 *
 *   in = out·stride − padBegin + kernel·dilation
 */
function convolutionPlaces(
  { node, weight }: Layer,
  xShape: readonly number[],
  yShape: readonly number[],
): (place: number, target: Int32Array) => void {
  const kernel = weight.shape.slice(2);
  const [inputSize, outputSize] = [xShape.slice(2), yShape.slice(2)];
  const ones = kernel.map(() => 1);
  const strides = intsAttribute(node, 'strides', ones);
  const dilations = intsAttribute(node, 'dilations', ones);
  const pads = padBegins(node, kernel, inputSize, strides, dilations);
  return (place, target) => {
    target.fill(0);
    let outer = place;
    let inputStride = 1;
    let kernelStride = 1;
    for (let axis = kernel.length - 1; axis >= 0; axis--) {
      const [k, size] = [kernel[axis]!, inputSize[axis]!];
      const origin = (outer % outputSize[axis]!) * strides[axis]! - pads[axis]!;
      outer = Math.floor(outer / outputSize[axis]!);
      for (let tap = 0; tap < target.length; tap++) {
        const along = origin + (Math.floor(tap / kernelStride) % k) * dilations[axis]!;
        if (along < 0 || along >= size) target[tap] = -1;
        else if (target[tap]! >= 0) target[tap] = target[tap]! + along * inputStride;
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

function product(sizes: readonly number[]): number {
  return sizes.reduce((all, size) => all * size, 1);
}
