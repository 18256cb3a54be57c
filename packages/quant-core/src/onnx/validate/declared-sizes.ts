import { TritforgeError } from '@tritforge/contracts';
import { bitsOf, type DataType, type Dimension, inferShapes, type Model } from '../../ir/index.js';
import type { ModelLimits } from '../limits.js';

/**
 * Refuses graphs whose constants alone decide that a value is impossibly large: ConstantOfShape, Expand, Range, Tile,
 * Pad and the like, and inputs of such sizes. Unknown dimensions count as 1.
 * @throws TritforgeError MODEL_TENSOR_TOO_LARGE naming the node
 */
export function checkDeclaredSizes(model: Model, limits: ModelLimits): void {
  const refuse = (bytes: number, what: string, context: { node?: string; opType?: string; field?: string }) => {
    if (bytes <= limits.maxValueBytes) return;
    const message = `${what} takes ${bytes.toPrecision(3)} bytes; the limit is ${limits.maxValueBytes}`;
    throw new TritforgeError('MODEL_TENSOR_TOO_LARGE', message, {
      ...context,
      remediation: 'Check the constants that decide the size, or raise the limit of the service.',
    });
  };
  for (const input of model.graph.inputs) {
    if (model.graph.initializers.has(input.name)) continue;
    refuse(leastBytes(input.dtype, input.shape), `The input ${input.name}`, { field: input.name });
  }
  inferShapes(model, {
    onValue: (name, { name: node, opType }, { dtype, shape }) => {
      refuse(leastBytes(dtype, shape), `The value ${name} of node ${node} (${opType})`, { node, opType });
    },
  });
}

/** Bytes that the value takes at least; an unknown element type counts as one byte. */
function leastBytes(dtype: DataType, shape: readonly Dimension[] | null): number {
  const elements = shape?.reduce<number>((product, size) => product * (typeof size === 'number' ? size : 1), 1) ?? 0;
  return (elements * (bitsOf(dtype) || 8)) / 8;
}
