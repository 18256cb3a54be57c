import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Preprocess } from '@tritforge/contracts';
import sharp from 'sharp';
import { type DatasetOptions, inspectDataset, openDataset } from './open-dataset.js';
import { tarBytes, testFile, zipBytes } from './testing/archives.js';
import { assertFails } from './testing/errors.js';
import { png } from './testing/images.js';
import { readBatches, withDataset } from './testing/read-batches.js';

/** Red counts columns, green rows, blue is fixed. */
const gradient = (width: number, height: number) => png(width, height, (x, y) => [10 * x, 10 * y, 200]);

async function zipFile(t: TestContext, members: Record<string, Uint8Array | string>): Promise<string> {
  return testFile(t, zipBytes(Object.entries(members).map(([name, data]) => ({ name, data: Buffer.from(data) }))));
}

/** What one image becomes: shape and values. */
async function feed(t: TestContext, image: Uint8Array, preprocess: Preprocess) {
  const file = await zipFile(t, { 'a.png': image });
  const [batch] = await withDataset(file, { preprocess }, (dataset) => readBatches(dataset, { batchSize: 1 }));
  const { dtype, shape, data } = batch!.inputs.get('images')!;
  return { dtype, shape, data: Array.from(data as Float32Array) };
}

test('without steps an image is its RGB bytes, as planes or interleaved', async (t) => {
  const image = await gradient(2, 2);
  assert.deepEqual(await feed(t, image, {}), {
    dtype: 'uint8',
    shape: [1, 3, 2, 2],
    data: [0, 10, 0, 10, 0, 0, 10, 10, 200, 200, 200, 200],
  });
  assert.deepEqual(await feed(t, image, { layout: 'nhwc' }), {
    dtype: 'uint8',
    shape: [1, 2, 2, 3],
    data: [0, 0, 200, 10, 0, 200, 0, 10, 200, 10, 10, 200],
  });
});

test('scale, mean and standard deviation give exactly rounded float32', async (t) => {
  const [scale, mean, std] = [1 / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
  const { dtype, data } = await feed(t, await png(1, 1, () => [0, 128, 255]), { scale, mean, std });
  const expected = [0, 128, 255].map((value, c) => Math.fround((value * scale - mean[c]!) / std[c]!));
  assert.deepEqual([dtype, data], ['float32', expected]);
});

test('bgr swaps the channels and normalization follows the new order; gray is ITU-R 601 luma', async (t) => {
  const image = await png(1, 1, () => [10, 20, 30]);
  assert.deepEqual((await feed(t, image, { channels: 'bgr', mean: [30, 20, 10] })).data, [0, 0, 0]);
  const gray = await feed(t, image, { channels: 'gray' });
  assert.deepEqual([gray.shape, gray.data], [[1, 1, 1, 1], [Math.round(0.299 * 10 + 0.587 * 20 + 0.114 * 30)]]);
});

test('gray, palette, 16-bit and transparent images become three channels of bytes', async (t) => {
  assert.deepEqual((await feed(t, await png(1, 1, () => [77]), {})).data, [77, 77, 77]);
  assert.deepEqual((await feed(t, await png(1, 1, () => [9, 8, 7, 0]), {})).data, [9, 8, 7]);
  const palette = await sharp(await png(2, 1, (x) => [x * 255, 0, 0]))
    .png({ palette: true })
    .toBuffer();
  assert.deepEqual((await feed(t, palette, {})).data, [0, 255, 0, 0, 0, 0]);
  const deep = await sharp(await png(1, 1, () => [255, 0, 0]))
    .toColourspace('rgb16')
    .png()
    .toBuffer();
  assert.equal((await sharp(deep).metadata()).depth, 'ushort');
  assert.deepEqual((await feed(t, deep, {})).data, [255, 0, 0]);
});

test('the centre crop starts at floor of half the difference', async (t) => {
  const { shape, data } = await feed(t, await gradient(7, 6), { centerCrop: { width: 2, height: 3 } });
  assert.deepEqual(shape, [1, 3, 3, 2]);
  assert.deepEqual(data.slice(0, 6), [20, 30, 20, 30, 20, 30], 'columns 2 and 3');
  assert.deepEqual(data.slice(6, 12), [10, 10, 20, 20, 30, 30], 'rows 1 to 3');
});

test('the short side is resized and the long side follows, rounded down', async (t) => {
  assert.deepEqual((await feed(t, await gradient(7, 4), { resize: { shortSide: 2 } })).shape, [1, 3, 2, 3]);
  assert.deepEqual((await feed(t, await gradient(4, 7), { resize: { shortSide: 2 } })).shape, [1, 3, 3, 2]);
  const both = { resize: { width: 5, height: 2 }, centerCrop: 2 };
  assert.deepEqual((await feed(t, await gradient(4, 7), both)).shape, [1, 3, 2, 2]);
});

test('the orientation that a camera noted is not applied', async (t) => {
  const upright = await gradient(4, 2);
  const turned = await sharp(upright).withMetadata({ orientation: 6 }).png().toBuffer();
  assert.equal((await sharp(turned).metadata()).orientation, 6);
  assert.deepEqual(await feed(t, turned, {}), await feed(t, upright, {}));
});

test('with a csv its rows are the samples in their order, from zip and tar; the input can be named', async (t) => {
  const [a, b] = [await png(1, 1, () => [1, 1, 1]), await png(1, 1, () => [2, 2, 2])];
  const csv = '\ufefffile,label,note\r\nx/b.png,3,"a, note"\r\n./a.png,0,\r\n';
  const zip = await zipFile(t, { 'a.png': a, 'labels.csv': csv, 'x/b.png': b });
  const tar = await testFile(
    t,
    await tarBytes([
      { name: 'a.png', data: a },
      { name: 'x/b.png', data: b },
      { name: 'labels.csv', data: Buffer.from(csv) },
    ]),
  );
  for (const [file, format] of [
    [zip, 'zip'],
    [tar, 'tar'],
  ] as const) {
    await withDataset(file, { preprocess: { input: 'pixels' } }, async (dataset) => {
      assert.deepEqual(dataset.summary, {
        format,
        samples: 2,
        labels: { dtype: 'int64', classes: 4 },
        arrays: [{ name: 'pixels', dtype: 'uint8', shape: [2, 3, 1, 1] }],
      });
      const [batch] = await readBatches(dataset, { batchSize: 5 });
      assert.deepEqual([...(batch!.inputs.get('pixels')!.data as Uint8Array)], [2, 2, 2, 1, 1, 1]);
      assert.deepEqual(batch!.labels, { dtype: 'int64', shape: [2], data: BigInt64Array.from([3n, 0n]) });
    });
    await inspectDataset(file, { preprocess: {} });
  }
});

test('without a csv the images are sorted by the bytes of their paths and have no labels', async (t) => {
  const image = (value: number) => png(1, 1, () => [value, 0, 0]);
  const file = await zipFile(t, { b: await image(3), 'a/z': await image(2), Z: await image(1), ä: await image(4) });
  await withDataset(file, { preprocess: {} }, async (dataset) => {
    const batches = await readBatches(dataset, { batchSize: 3 });
    const reds = batches.flatMap(({ inputs }) =>
      [...(inputs.get('images')!.data as Uint8Array)].filter((_, i) => i % 3 === 0),
    );
    assert.deepEqual(reds, [1, 2, 3, 4]);
    assert.deepEqual([dataset.summary.labels, batches[0]!.labels], [null, null]);
  });
});

test('a csv that does not match the images is refused with its line', async (t) => {
  const image = await png(1, 1, () => [1, 1, 1]);
  const cases: [string, RegExp][] = [
    ['file,label\na.png,1\n', /line 3: the image "b.png" has no row/],
    ['file,label\na.png,1\nb.png,2\nc.png,3\n', /line 4: the archive has no member "c.png"/],
    ['file,label\na.png,1\na.png,2\n', /line 3: file "a.png" comes twice/],
    ['file,label\na.png,cat\nb.png,1\n', /line 2: label "cat" is no class number/],
    ['file,label\na.png,-1\nb.png,1\n', /line 2: label "-1"/],
    ['file,label\na.png,1.5\nb.png,1\n', /line 2: label "1.5"/],
    ['file,label\na.png\nb.png,1\n', /line 2/],
    ['name,class\na.png,1\nb.png,1\n', /line 1: its header names name, class/],
    ['file,label\n', /no rows/],
    ['', /no rows/],
    ['file,label\n"a.png,1\nb.png,2\n', /labels.csv, line/],
  ];
  for (const [csv, message] of cases) {
    const file = await zipFile(t, { 'a.png': image, 'b.png': image, 'labels.csv': csv });
    await assertFails(() => openDataset(file, { preprocess: {} }), 'DATASET_LABELS_INVALID', message);
  }
  const two = await zipFile(t, { 'a.png': image, 'a.csv': 'file,label\na.png,1\n', 'b.csv': 'file,label\na.png,1\n' });
  await assertFails(() => openDataset(two, { preprocess: {} }), 'DATASET_LABELS_INVALID', /second csv/);
});

test('damaged, foreign and empty images are named when the dataset is inspected or read', async (t) => {
  const good = await gradient(40, 40);
  const jpeg = await sharp(good).jpeg().toBuffer();
  const flipped = Buffer.from(good);
  flipped[flipped.length - 40]! ^= 0xff;
  const bad: Record<string, Uint8Array> = {
    'truncated.jpg': jpeg.subarray(0, jpeg.length >> 1),
    'truncated.png': good.subarray(0, good.length - 30),
    'flipped.png': flipped,
    'text.png': Buffer.from('no image'),
    'vector.png': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    'empty.png': Buffer.alloc(0),
  };
  for (const [name, image] of Object.entries(bad)) {
    const file = await zipFile(t, { 'a.png': good, [name]: image });
    const read = () => withDataset(file, { preprocess: {} }, (dataset) => readBatches(dataset, { batchSize: 2 }));
    await assertFails(read, 'DATASET_IMAGE_INVALID', new RegExp(`image '${name}'`));
    const alone = await zipFile(t, { [name]: image });
    await assertFails(() => inspectDataset(alone, { preprocess: {} }), 'DATASET_IMAGE_INVALID', new RegExp(name));
  }
});

test('images of different sizes need a resize or a crop, which then must fit', async (t) => {
  const file = await zipFile(t, { a: await gradient(4, 4), b: await gradient(5, 4) });
  await assertFails(
    () => inspectDataset(file, { preprocess: {} }),
    'DATASET_IMAGE_INVALID',
    /'b' becomes 5 x 4.*4 x 4/,
  );
  assert.deepEqual((await inspectDataset(file, { preprocess: { centerCrop: 4 } })).arrays[0]!.shape, [2, 3, 4, 4]);
  const crop = () => inspectDataset(file, { preprocess: { centerCrop: { width: 5, height: 4 } } });
  await assertFails(crop, 'DATASET_IMAGE_INVALID', /'a' has 4 x 4.*fewer than the centre crop of 5 x 4/);
});

test('image datasets need a preprocess description and at least one image', async (t) => {
  await assertFails(
    async () => openDataset(await zipFile(t, { a: await gradient(1, 1) })),
    'DATASET_PREPROCESS_REQUIRED',
    /./,
  );
  const none = await zipFile(t, { 'labels.csv': 'file,label\n' });
  await assertFails(() => openDataset(none, { preprocess: {} }), 'DATASET_EMPTY', /no images/);
  await assertFails(async () => openDataset(await testFile(t, zipBytes([])), { preprocess: {} }), 'DATASET_EMPTY', /./);
});

test('too many pixels and too large members are refused before anything is decoded', async (t) => {
  const file = await zipFile(t, { a: await gradient(20, 10), 'labels.csv': 'file,label\na,1\n' });
  const open = (options: DatasetOptions) => inspectDataset(file, { preprocess: {}, ...options });
  await assertFails(() => open({ limits: { maxImagePixels: 199 } }), 'DATASET_TOO_LARGE', /'a' has 20 x 10 pixels/);
  await assertFails(() => open({ limits: { maxImageBytes: 50 } }), 'DATASET_TOO_LARGE', /'a' has \d+ bytes; 50/);
  await assertFails(() => open({ limits: { maxCsvBytes: 5 } }), 'DATASET_TOO_LARGE', /labels.csv/);
  const huge = { preprocess: { resize: { width: 8192, height: 8192 } }, limits: { maxImagePixels: 1000 } };
  await assertFails(() => open(huge), 'DATASET_TOO_LARGE', /resized to 8192 x 8192/);
  await assertFails(() => open({ limits: { maxSampleBytes: 2399 } }), 'DATASET_TOO_LARGE', /2400 bytes/);
});
