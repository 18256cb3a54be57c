import { bitsOf, type DataType, elementCount, type Model } from '../ir/index.js';
import type { Feeds } from '../runtime/runtime.js';
import { type Laboratory, loadScratchModel, withOutputs, withShapeOutputs } from './observed-model.js';

/** What a value was when the model ran on a sample. */
export interface ObservedShape {
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

/**
 * Runs the model once and tells dtype and shape of each value, without keeping any. Values that are not tensors, such
 * as sequences, are left out.
 * @param values names in the main graph, inputs of the graph included
 */
export async function observeShapes(
  model: Model,
  values: readonly string[],
  feeds: Feeds,
  laboratory: Laboratory,
): Promise<Map<string, ObservedShape>> {
  const observed = new Map<string, ObservedShape>();
  const computed = values.filter((name) => !feeds.has(name));
  const dtypes = await observeTypes(model, computed, laboratory);
  const shapes = await runShapeProbe(model, [...dtypes.keys()], feeds, laboratory);
  for (const name of values) {
    const fed = feeds.get(name);
    const shape = fed?.shape ?? shapes.get(name);
    const dtype = fed?.dtype ?? dtypes.get(name);
    if (shape && dtype) observed.set(name, { dtype, shape });
  }
  return observed;
}

/** Bytes of a value. */
export function observedByteLength({ dtype, shape }: ObservedShape): number {
  return (elementCount(shape) * bitsOf(dtype)) / 8;
}

/** Loading is enough for types: the engine infers those of all outputs. */
async function observeTypes(
  model: Model,
  values: readonly string[],
  laboratory: Laboratory,
): Promise<Map<string, DataType>> {
  if (values.length === 0) return new Map();
  const session = await loadScratchModel(withOutputs(model, values), laboratory);
  await session.release();
  return new Map(session.outputs.filter(({ dtype }) => dtype !== 'undefined').map(({ name, dtype }) => [name, dtype]));
}

async function runShapeProbe(
  model: Model,
  values: readonly string[],
  feeds: Feeds,
  laboratory: Laboratory,
): Promise<Map<string, number[]>> {
  if (values.length === 0) return new Map();
  const probe = withShapeOutputs(model, values);
  const session = await loadScratchModel(probe.model, laboratory);
  try {
    const outputs = await session.run(feeds);
    return new Map(
      values.map((name, i) => {
        const sizes = outputs.get(probe.outputs[i] as string)?.data as BigInt64Array;
        return [name, Array.from(sizes, Number)];
      }),
    );
  } finally {
    await session.release();
  }
}
