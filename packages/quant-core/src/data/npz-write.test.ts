import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { HostTensor } from '../runtime/runtime.js';
import { npyBytes, writeNpz } from './npz-write.js';
import { inspectDataset } from './open-dataset.js';
import { testFolder } from './testing/archives.js';
import { readBatches, withDataset } from './testing/read-batches.js';

const TENSORS: readonly HostTensor[] = [
  { dtype: 'bool', shape: [2], data: Uint8Array.from([0, 1]) },
  { dtype: 'uint8', shape: [2, 2], data: Uint8Array.from([0, 255, 1, 2]) },
  { dtype: 'int8', shape: [2], data: Int8Array.from([-128, 127]) },
  { dtype: 'uint16', shape: [2], data: Uint16Array.from([0, 65535]) },
  { dtype: 'int16', shape: [2], data: Int16Array.from([-32768, 1]) },
  { dtype: 'uint32', shape: [2], data: Uint32Array.from([0, 2 ** 32 - 1]) },
  { dtype: 'int32', shape: [2], data: Int32Array.from([-(2 ** 31), 5]) },
  { dtype: 'int64', shape: [2], data: BigInt64Array.from([-(2n ** 63n), 2n ** 63n - 1n]) },
  { dtype: 'float16', shape: [2], data: Uint16Array.from([0x3c00, 0x8001]) },
  { dtype: 'float32', shape: [2, 1], data: Float32Array.from([0.1, -3]) },
  { dtype: 'float64', shape: [2], data: Float64Array.from([0.1, 1e30]) },
];

test('every dtype comes back as it was written, stored and deflated', async (t) => {
  const folder = await testFolder(t);
  const arrays = new Map(TENSORS.map((tensor) => [tensor.dtype, tensor]));
  for (const compress of [false, true]) {
    const file = path.join(folder, `${compress}.npz`);
    await writeNpz(file, arrays, { compress });
    await inspectDataset(file);
    const [batch] = await withDataset(file, {}, (dataset) => readBatches(dataset, { batchSize: 2 }));
    for (const [name, tensor] of arrays) assert.deepEqual(batch!.inputs.get(name), tensor, name);
  }
});

test('the same arrays give the same bytes', async (t) => {
  const folder = await testFolder(t);
  const [first, second] = ['a', 'b'].map((name) => path.join(folder, name));
  await writeNpz(first!, new Map([['x', TENSORS[9]!]]), { compress: true });
  await writeNpz(second!, new Map([['x', TENSORS[9]!]]), { compress: true });
  assert.deepEqual(await readFile(first!), await readFile(second!));
});

test('a .npy header ends on a multiple of 64 bytes and is the one that NumPy writes', () => {
  const bytes = npyBytes(TENSORS[9]!);
  assert.equal(bytes.length, 128 + 8);
  const text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }";
  assert.equal(bytes.toString('latin1', 0, 128), `\x93NUMPY\x01\x00\x76\x00${text.padEnd(117)}\n`);
});

test('text cannot be written', () => {
  assert.throws(() => npyBytes({ dtype: 'string', shape: [1], data: ['a'] }), /string cannot be written as .npy/);
});
