import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planFeeds } from '../data/feed-plan.js';
import { tensorFromFloats } from '../ir/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { floats, memoryDataset } from '../testing/memory-dataset.js';
import { seededRandom } from '../testing/random.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { observeChannelMaxima } from './channel-maxima.js';

test('the largest magnitude per channel is that of all samples and places, of images and of rows', async (t) => {
  const [samples, channels, places] = [9, 3, 4];
  const random = seededRandom(4);
  const values = Float32Array.from({ length: samples * channels * places }, () => 2 * random() - 1.3);
  for (const [opset, size] of [
    [13, [2, 2]],
    [18, [2, 2]],
    [17, [4]],
  ] as const) {
    const model = tinyModel({
      inputs: [['x', 'float32', ['N', channels, ...size]]],
      outputs: [['y', 'float32', null]],
      nodes: [
        { op: 'Mul', inputs: ['x', 'k'], outputs: ['m'] },
        { op: 'GlobalAveragePool', inputs: ['m'], outputs: ['p'] },
        { op: 'Flatten', inputs: ['p'], outputs: ['y'] },
      ],
      constants: { k: tensorFromFloats([], Float32Array.of(-2)) },
      opset,
    });
    const dataset = memoryDataset({ x: floats([samples, channels, ...size], values) });
    const maxima = await observeChannelMaxima({
      model,
      values: ['m', 'y'],
      dataset,
      feedPlan: planFeeds(model.graph.inputs, dataset.summary, null),
      runtime: createOnnxRuntime(),
      scratchDir: temporaryFolder(t),
    });
    const rowsOf = (channel: number) =>
      Array.from({ length: samples }, (_, i) => {
        const start = (i * channels + channel) * places;
        return [...values.subarray(start, start + places)].map((value) => -2 * value);
      });
    const mean = (row: readonly number[]) => row.reduce((sum, value) => sum + value, 0) / row.length;
    for (let c = 0; c < channels; c++) {
      const largest = Math.max(...rowsOf(c).flat().map(Math.abs));
      const largestMean = Math.max(...rowsOf(c).map((row) => Math.abs(mean(row))));
      assert.ok(Math.abs(maxima.get('m')![c]! - largest) < 1e-6);
      assert.ok(Math.abs(maxima.get('y')![c]! - largestMean) < 1e-6);
    }
  }
});
