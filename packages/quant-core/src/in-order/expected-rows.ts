import { elementCount, type Model, shapesOfOneSample } from '../ir/index.js';
import type { Layer } from '../layers/layer.js';
import { momentRows } from './layer-moments.js';

/**
 * How many windows of a layer's input its moments will be taken of, in the main graph: as many as they need, or all that there
 * are, where shapes tell.
 */
export function expectedRows(model: Model, runs: number): (layer: Layer) => number {
  const shapes = shapesOfOneSample(model);
  return (layer) => {
    const { node, layout } = layer;
    const shape = shapes.get(node.outputs[0]!, model.graph)?.shape;
    const isKnown = shape?.every((size) => typeof size === 'number') ?? false;
    const windows = isKnown
      ? (runs * elementCount(shape as number[])) / layout.outputChannels
      : Number.POSITIVE_INFINITY;
    return Math.min(momentRows(layer), windows);
  };
}
