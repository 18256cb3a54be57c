import type { Batch, Dataset } from '../data/dataset.js';
import { sliceRows } from '../data/feeds.js';
import type { HostTensor } from '../runtime/runtime.js';

/** A dataset of arrays that are in memory; dimension 0 counts the samples. */
export function memoryDataset(arrays: Readonly<Record<string, HostTensor>>, labels: HostTensor | null = null): Dataset {
  const sampleCount = Object.values(arrays)[0]!.shape[0]!;
  const take = (tensor: HostTensor, indices: readonly number[]): HostTensor => {
    const rows = indices.map((index) => sliceRows(tensor, index, 1).data as Float32Array);
    const joined = new (tensor.data.constructor as Float32ArrayConstructor)(rows.length * (rows[0]?.length ?? 0));
    for (const [i, row] of rows.entries()) joined.set(row, i * row.length);
    return { dtype: tensor.dtype, shape: [indices.length, ...tensor.shape.slice(1)], data: joined };
  };
  return {
    summary: {
      format: 'npz',
      samples: sampleCount,
      labels: labels && { dtype: labels.dtype, classes: null },
      arrays: Object.entries(arrays).map(([name, { dtype, shape }]) => ({ name, dtype, shape: [...shape] })),
    },
    preprocess: null,
    sampleCount,
    async *batches({ batchSize, indices = Array.from({ length: sampleCount }, (_, i) => i) }): AsyncGenerator<Batch> {
      for (let start = 0; start < indices.length; start += batchSize) {
        const chunk = indices.slice(start, start + batchSize);
        yield {
          inputs: new Map(Object.entries(arrays).map(([name, tensor]) => [name, take(tensor, chunk)])),
          labels: labels && take(labels, chunk),
          count: chunk.length,
        };
      }
    },
    async close() {},
  };
}

/** A float32 tensor. */
export function floats(shape: readonly number[], values: ArrayLike<number>): HostTensor {
  return { dtype: 'float32', shape, data: Float32Array.from(values) };
}

/** An int64 tensor. */
export function int64s(shape: readonly number[], values: readonly number[]): HostTensor {
  return { dtype: 'int64', shape, data: BigInt64Array.from(values, BigInt) };
}
