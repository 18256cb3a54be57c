import assert from 'node:assert/strict';
import { readdir, truncate } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { HostTensor } from '../runtime/runtime.js';
import type { Dataset } from './dataset.js';
import { npyBytes, writeNpz } from './npz-write.js';
import { inspectDataset, openDataset } from './open-dataset.js';
import { testFile, testFolder, zipBytes } from './testing/archives.js';
import { assertFails } from './testing/errors.js';
import { readBatches, withDataset } from './testing/read-batches.js';

const floats = (shape: readonly number[], values: readonly number[]): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});
const bytes = (shape: readonly number[], values: readonly number[]): HostTensor => ({
  dtype: 'uint8',
  shape,
  data: Uint8Array.from(values),
});
const int64s = (shape: readonly number[], values: readonly number[]): HostTensor => ({
  dtype: 'int64',
  shape,
  data: BigInt64Array.from(values, BigInt),
});

const npz = (arrays: Record<string, HostTensor>, deflate = false) =>
  zipBytes(Object.entries(arrays).map(([name, tensor]) => ({ name: `${name}.npy`, data: npyBytes(tensor), deflate })));

/** All values of an array, batch after batch. */
async function values(dataset: Dataset, array: string, batchSize = 2, indices?: readonly number[]): Promise<number[]> {
  const all: number[] = [];
  for await (const batch of dataset.batches({ batchSize, ...(indices && { indices }) })) {
    all.push(...Array.from(batch.inputs.get(array)!.data as Float32Array, Number));
  }
  return all;
}

test('stored and deflated arrays give the same samples in batches of any size and in any order', async (t) => {
  const x = floats([5, 2], [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]);
  for (const deflate of [false, true]) {
    const file = await testFile(t, npz({ x, labels: int64s([5], [4, 3, 2, 1, 0]) }, deflate));
    await withDataset(file, {}, async (dataset) => {
      assert.deepEqual(dataset.summary, {
        format: 'npz',
        samples: 5,
        labels: { dtype: 'int64', classes: 5 },
        arrays: [{ name: 'x', dtype: 'float32', shape: [5, 2] }],
      });
      for (const size of [1, 2, 3, 5, 9])
        assert.deepEqual(await values(dataset, 'x', size), [...(x.data as Float32Array)]);
      assert.deepEqual(await values(dataset, 'x', 3, [4, 0, 1, 2]), [40, 41, 0, 1, 10, 11, 20, 21]);
      const [batch] = await readBatches(dataset, { batchSize: 2, indices: [3, 1] });
      assert.deepEqual([batch!.count, batch!.labels], [2, int64s([2], [1, 3])]);
    });
  }
});

test('integer labels become int64 and may be rows with ignored places; float labels become float32', async (t) => {
  const x = floats([2, 1], [1, 2]);
  const rows: HostTensor = { dtype: 'int8', shape: [2, 2], data: Int8Array.from([3, -1, 0, 7]) };
  await withDataset(await testFile(t, npz({ x, labels: rows })), {}, async (dataset) => {
    const [batch] = await readBatches(dataset, { batchSize: 2 });
    assert.deepEqual(batch!.labels, int64s([2, 2], [3, -1, 0, 7]));
    assert.deepEqual(dataset.summary.labels, { dtype: 'int64', classes: 8 });
  });
  const real: HostTensor = { dtype: 'float64', shape: [2, 1], data: Float64Array.from([0.5, -2]) };
  await withDataset(await testFile(t, npz({ x, labels: real })), {}, async (dataset) => {
    const [batch] = await readBatches(dataset, { batchSize: 2 });
    assert.deepEqual(batch!.labels, floats([2, 1], [0.5, -2]));
    assert.deepEqual(dataset.summary.labels, { dtype: 'float32', classes: null });
  });
});

test('labels below -1 are refused with their sample', async (t) => {
  const file = await testFile(t, npz({ x: floats([3, 1], [1, 2, 3]), labels: int64s([3], [0, 1, -2]) }));
  await assertFails(() => openDataset(file), 'DATASET_LABELS_INVALID', /sample 2 has the label -2/);
});

test('arrays of different lengths, without samples, single values and labels alone are refused', async (t) => {
  const x = floats([2, 1], [1, 2]);
  const open = async (arrays: Record<string, HostTensor>) => openDataset(await testFile(t, npz(arrays)));
  await assertFails(() => open({ x, y: floats([3], [1, 2, 3]) }), 'DATASET_LENGTH_MISMATCH', /'y' has 3.*'x' has 2/);
  await assertFails(() => open({ x, labels: int64s([1], [0]) }), 'DATASET_LENGTH_MISMATCH', /'labels' has 1/);
  await assertFails(() => open({ x: floats([0, 3], []) }), 'DATASET_EMPTY', /'x' \[0, 3\]/);
  await assertFails(() => open({ x: floats([], [1]) }), 'DATASET_ARRAY_INVALID', /'x' is a single value/);
  await assertFails(() => open({ labels: int64s([1], [0]) }), 'DATASET_EMPTY', /no array but labels/);
});

test('NaN and infinity are found when they are read and named by array and sample', async (t) => {
  const file = await testFile(t, npz({ x: floats([4, 2], [0, 1, 2, 3, 4, Number.NaN, 6, 7]) }));
  await withDataset(file, {}, async (dataset) => {
    assert.deepEqual(await values(dataset, 'x', 2, [0, 1, 3]), [0, 1, 2, 3, 6, 7]);
    await assertFails(() => values(dataset, 'x', 4), 'DATASET_VALUES_INVALID', /'x' has NaN or infinity in sample 2/);
  });
  const half: HostTensor = { dtype: 'float16', shape: [2, 1], data: Uint16Array.from([0x3c00, 0xfc00]) };
  await withDataset(await testFile(t, npz({ x: half })), {}, (dataset) =>
    assertFails(() => values(dataset, 'x'), 'DATASET_VALUES_INVALID', /sample 1/),
  );
});

test('an array whose values are more or fewer than its shape says is refused', async (t) => {
  const whole = npyBytes(floats([4, 2], [0, 1, 2, 3, 4, 5, 6, 7]));
  for (const data of [whole.subarray(0, -1), Buffer.concat([whole, Buffer.alloc(4)])]) {
    const file = await testFile(t, zipBytes([{ name: 'x.npy', data }]));
    await assertFails(() => openDataset(file), 'DATASET_ARRAY_INVALID', /takes 32/);
  }
});

test('preprocess scales and normalizes along the channels of the layout and rounds once', async (t) => {
  const [scale, mean, std] = [1 / 255, [0.485, 0.456], [0.229, 0.224]];
  const expected = (value: number, c: number) => Math.fround((value * scale - mean[c]!) / std[c]!);
  const data = [0, 255, 7, 128];
  const nchw = await testFile(t, npz({ image: bytes([1, 2, 1, 2], data) }));
  await withDataset(nchw, { preprocess: { scale, mean, std } }, async (dataset) => {
    assert.deepEqual(await values(dataset, 'image'), [
      expected(0, 0),
      expected(255, 0),
      expected(7, 1),
      expected(128, 1),
    ]);
  });
  const nhwc = await testFile(t, npz({ image: bytes([1, 1, 2, 2], data) }));
  await withDataset(nhwc, { preprocess: { scale, mean, std, layout: 'nhwc' } }, async (dataset) => {
    assert.deepEqual(await values(dataset, 'image'), [
      expected(0, 0),
      expected(255, 1),
      expected(7, 0),
      expected(128, 1),
    ]);
  });
});

test('planes are found from the end of the shape, for samples that keep a batch dimension of their own', async (t) => {
  const file = await testFile(t, npz({ image: bytes([2, 1, 2, 1, 1], [1, 2, 3, 4]) }));
  await withDataset(file, { preprocess: { mean: [1, 2] } }, async (dataset) => {
    assert.deepEqual(await values(dataset, 'image'), [0, 0, 2, 2]);
  });
});

test('preprocess without values to change leaves the stored type; with them it applies to the array it names', async (t) => {
  const file = await testFile(t, npz({ a: bytes([1, 2], [1, 2]), b: bytes([1, 2], [3, 4]) }));
  await withDataset(file, { preprocess: {} }, async (dataset) => assert.deepEqual(await values(dataset, 'a'), [1, 2]));
  await withDataset(file, { preprocess: { input: 'b', scale: 2 } }, async (dataset) => {
    assert.deepEqual(
      [await values(dataset, 'a'), await values(dataset, 'b')],
      [
        [1, 2],
        [6, 8],
      ],
    );
  });
  await assertFails(
    () => openDataset(file, { preprocess: { scale: 2 } }),
    'PREPROCESS_INVALID',
    /any of the arrays 'a', 'b'/,
  );
  await assertFails(() => openDataset(file, { preprocess: { input: 'c' } }), 'PREPROCESS_INVALID', /names 'c'/);
  const wrongLength = { input: 'a', mean: [1, 2, 3] };
  await assertFails(
    () => openDataset(file, { preprocess: wrongLength }),
    'PREPROCESS_INVALID',
    /mean has 3.*2 channels/,
  );
});

test('samples larger than the limit are refused', async (t) => {
  const file = await testFile(t, npz({ x: floats([1, 100], new Array<number>(100).fill(0)) }));
  await assertFails(() => openDataset(file, { limits: { maxSampleBytes: 399 } }), 'DATASET_TOO_LARGE', /400 bytes/);
  await (await openDataset(file, { limits: { maxSampleBytes: 400 } })).close();
});

test('deflated arrays are expanded into the scratch folder and removed by close, also when opening fails', async (t) => {
  const scratchDir = await testFolder(t);
  const x = floats([2, 1], [1, 2]);
  const dataset = await openDataset(await testFile(t, npz({ x }, true)), { scratchDir });
  assert.equal((await readdir(scratchDir)).length, 1);
  await dataset.close();
  assert.deepEqual(await readdir(scratchDir), []);
  const broken = await testFile(t, npz({ x, y: floats([1], [1]) }, true));
  await assertFails(() => openDataset(broken, { scratchDir }), 'DATASET_LENGTH_MISMATCH', /'y'/);
  assert.deepEqual(await readdir(scratchDir), []);
});

test('closing leaves no file open', {
  skip: process.platform !== 'linux' && 'counts the entries of /proc/self/fd',
}, async (t) => {
  const file = await testFile(t, npz({ x: floats([2, 1], [1, 2]), y: floats([2, 1], [3, 4]) }, true));
  const openFiles = async () => (await readdir('/proc/self/fd')).length;
  const before = await openFiles();
  await withDataset(file, {}, async (dataset) => {
    await readBatches(dataset, { batchSize: 1 });
    assert.equal(await openFiles(), before + 3);
  });
  assert.equal(await openFiles(), before);
});

test('reading a large stored array keeps only a batch of it in memory', async (t) => {
  const [samples, size] = [256, 2 ** 18];
  const file = path.join(await testFolder(t), 'large.npz');
  const written = new Uint8Array(samples * size).fill(3);
  await writeNpz(file, new Map([['x', { dtype: 'uint8', shape: [samples, size], data: written }]]));
  const before = process.memoryUsage().arrayBuffers;
  let [first, sum] = [0, 0];
  await withDataset(file, {}, async (dataset) => {
    for await (const batch of dataset.batches({ batchSize: 1 })) {
      if (first === 0) first = process.memoryUsage().arrayBuffers;
      sum += (batch.inputs.get('x')!.data as Uint8Array)[size - 1]!;
    }
  });
  // `written` is used below, so that it is not collected between the two measurements.
  assert.equal(sum, written[0]! * samples);
  assert.ok(first - before < 8 * size, `${first - before} bytes for a batch of ${size} bytes`);
});

test('an archive that was cut anywhere is refused', async (t) => {
  const whole = npz(
    {
      x: floats(
        [8, 4],
        Array.from({ length: 32 }, (_, i) => i),
      ),
      labels: int64s([8], [0, 1, 2, 3, 4, 5, 6, 7]),
    },
    true,
  );
  const file = await testFile(t, whole);
  for (let size = whole.length - 1; size >= 0; size -= 5) {
    await truncate(file, size);
    await assertFails(() => inspectDataset(file), size < 4 ? 'DATASET_FORMAT_UNKNOWN' : 'DATASET_CORRUPT', /./);
  }
});

test('inspection finds a changed byte anywhere in the values', async (t) => {
  for (const deflate of [false, true]) {
    const whole = npz({ x: floats([8], [1, 2, 3, 4, 5, 6, 7, 8]) }, deflate);
    whole[deflate ? 100 : 180]! ^= 0x10;
    await assertFails(async () => inspectDataset(await testFile(t, whole)), 'DATASET_CORRUPT', /'?x.npy/);
  }
});
