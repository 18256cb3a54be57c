import { readFloats } from '../ir/index.js';
import type { Layer } from './layer.js';

/** How a tensor stores weights. */
type Order = Pick<Layer, 'transposed' | 'layout'>;

/** The weights of a layer as [OC, IC, taps], however its tensor stores them. */
export async function readRows(layer: Layer): Promise<Float32Array> {
  return inRowOrder(await readFloats(layer.weight), layer);
}

/** Values in the order in which the layer's tensor stores them in the order [OC, IC, taps]. */
export function inRowOrder(stored: Float32Array, { transposed, layout }: Order): Float32Array {
  if (!transposed) return stored;
  return transpose(stored, new Float32Array(stored.length), layout.inputChannels, layout.outputChannels);
}

/** Values in the order [OC, IC, taps] in the order in which the layer's tensor stores them. */
export function inOwnOrder<T extends Float32Array | Int8Array>(values: T, { transposed, layout }: Order): T {
  if (!transposed) return values;
  return transpose(values, values.slice() as T, layout.outputChannels, layout.inputChannels);
}

function transpose<T extends Float32Array | Int8Array>(values: T, turned: T, rows: number, columns: number): T {
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) turned[c * rows + r] = values[r * columns + c]!;
  return turned;
}
