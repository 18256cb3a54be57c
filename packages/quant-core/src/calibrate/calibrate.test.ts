import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TritforgeError } from '@tritforge/contracts';
import type { Dataset } from '../data/dataset.js';
import { planFeeds } from '../data/feed-plan.js';
import { bitsOf, type Model, tensorFromFloats, tensorFromInt64 } from '../ir/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { Runtime } from '../runtime/runtime.js';
import { floats, int64s, memoryDataset } from '../testing/memory-dataset.js';
import { seededRandom } from '../testing/random.js';
import { tinyModel } from '../testing/tiny-model.js';
import { type CalibrationRequest, calibrate } from './calibrate.js';
import { chooseRange } from './choose-range.js';
import type { Histogram } from './histogram.js';
import type { RangeMethod, ValueRange } from './value-range.js';

const SAMPLES = 12;
const FEATURES = 6;
const HIDDEN = 5;
let scratchDir: string;

before(async () => {
  scratchDir = await mkdtemp(join(tmpdir(), 'tritforge-calibrate-'));
});
after(() => rm(scratchDir, { recursive: true }));

const random = seededRandom(11);
const weights = Float32Array.from({ length: FEATURES * HIDDEN }, () => 2 * random() - 1);
const samples = Float32Array.from({ length: SAMPLES * FEATURES }, () => 4 * random() - 2);

/** x → MatMul → h → Relu → r, and the shape of h; `batch` is the first dimension of x. */
function perceptron(batch: number | string): Model {
  return tinyModel({
    inputs: [['x', 'float32', [batch, FEATURES]]],
    outputs: [['r', 'float32', null]],
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['h'] },
      { op: 'Relu', inputs: ['h'], outputs: ['r'] },
      { op: 'Shape', inputs: ['h'], outputs: ['size'] },
    ],
    constants: { w: tensorFromFloats([FEATURES, HIDDEN], weights) },
  });
}

/** The hidden values of every sample, in float64. */
function hiddenValues(): number[] {
  return Array.from({ length: SAMPLES * HIDDEN }, (_, i) => {
    const [sample, unit] = [Math.floor(i / HIDDEN), i % HIDDEN];
    let sum = 0;
    for (let k = 0; k < FEATURES; k++) sum += samples[sample * FEATURES + k]! * weights[k * HIDDEN + unit]!;
    return sum;
  });
}

/** Calibrates, and chooses ranges by `range`, as if nothing came out of a ReLU. */
async function run({ range = 'minmax', ...overrides }: Partial<CalibrationRequest> & { range?: RangeMethod } = {}) {
  const model = overrides.model ?? perceptron('N');
  const dataset: Dataset = overrides.dataset ?? memoryDataset({ x: floats([SAMPLES, FEATURES], samples) });
  const calibration = await calibrate({
    model,
    values: ['x', 'h', 'r'],
    dataset,
    feedPlan: planFeeds(model.graph.inputs, dataset.summary, null),
    runtime: createOnnxRuntime(),
    scratchDir,
    ...overrides,
  });
  const choose = ([name, histogram]: [string, Histogram]): [string, ValueRange] => [
    name,
    chooseRange(histogram, { method: range, nonNegative: false, maxCode: 255 }),
  ];
  return { ...calibration, ranges: new Map([...calibration.histograms].map(choose)) };
}

/** onnxruntime, with a note of the bytes that each run returned. */
function weighingRuntime(): { runtime: Runtime; runBytes: number[] } {
  const runBytes: number[] = [];
  const inner = createOnnxRuntime();
  const load: Runtime['load'] = async (path, options) => {
    const session = await inner.load(path, options);
    const weighed: typeof session.run = async (...args) => {
      const outputs = await session.run(...args);
      runBytes.push([...outputs.values()].reduce((sum, { dtype, data }) => sum + (data.length * bitsOf(dtype)) / 8, 0));
      return outputs;
    };
    return { inputs: session.inputs, outputs: session.outputs, run: weighed, release: () => session.release() };
  };
  return { runtime: { engine: inner.engine, load }, runBytes };
}

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) <= 1e-5 * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`);
}

test('ranges of inputs and inner values equal those computed by hand', async () => {
  const { ranges, samples: used } = await run();
  const hidden = hiddenValues();
  assert.equal(used, SAMPLES);
  assert.equal(ranges.get('x')!.min, Math.min(...samples));
  assert.equal(ranges.get('x')!.max, Math.max(...samples));
  near(ranges.get('h')!.min, Math.min(...hidden));
  near(ranges.get('h')!.max, Math.max(...hidden));
  assert.equal(ranges.get('r')!.min, 0);
  assert.equal(ranges.get('r')!.zeroPoint, 0);
  near(ranges.get('r')!.scale, Math.max(...hidden) / 255);
});

test('dtype and shape of every value asked for are told, ranges only of floating-point values', async () => {
  const { ranges, shapes } = await run({ shapeValues: ['size', 'r'], values: ['h', 'size'] });
  assert.deepEqual(shapes.get('h'), { dtype: 'float32', shape: [1, HIDDEN] });
  assert.deepEqual(shapes.get('size'), { dtype: 'int64', shape: [2] });
  assert.deepEqual(shapes.get('r'), { dtype: 'float32', shape: [1, HIDDEN] });
  assert.deepEqual([...ranges.keys()], ['h']);
});

test('no run returns more observed bytes than the cap, and the ranges stay the same', async () => {
  const free = weighingRuntime();
  const capped = weighingRuntime();
  const bytesOfOne = HIDDEN * 4;
  const whole = await run({ runtime: free.runtime });
  const split = await run({ runtime: capped.runtime, memoryCapBytes: bytesOfOne });
  assert.deepEqual(split.ranges, whole.ranges);
  assert.equal(Math.max(...free.runBytes), 2 * bytesOfOne);
  assert.ok(
    Math.max(...capped.runBytes) <= Math.max(bytesOfOne, 2 * 2 * 8),
    'apart from the probe, which returns shapes',
  );
  assert.ok(capped.runBytes.length > free.runBytes.length);
});

test('a model with a fixed batch gives the ranges of the same model without, and so does one without a batch', async () => {
  const open = await run({ range: 'mse' });
  const fixed = await run({ range: 'mse', model: perceptron(8) });
  for (const name of ['x', 'h', 'r']) near(fixed.ranges.get(name)!.scale, open.ranges.get(name)!.scale);
  assert.deepEqual(fixed.shapes.get('h')?.shape, [8, HIDDEN]);
  const unbatched = perceptron('N');
  unbatched.graph.inputs = [{ name: 'x', dtype: 'float32', shape: [FEATURES] }];
  const single = await run({ range: 'mse', model: unbatched });
  for (const name of ['x', 'h', 'r']) near(single.ranges.get(name)!.scale, open.ranges.get(name)!.scale);
  assert.deepEqual(single.shapes.get('h')?.shape, [HIDDEN]);
});

test('samples are spread over the dataset when not all are used', async () => {
  const rising = floats(
    [100, FEATURES],
    Float32Array.from({ length: 100 * FEATURES }, (_, i) => Math.floor(i / FEATURES)),
  );
  const { ranges, samples: used } = await run({ dataset: memoryDataset({ x: rising }), maxSamples: 10, values: ['x'] });
  assert.equal(used, 10);
  assert.equal(ranges.get('x')!.max, 90);
});

test('two runs give identical results', async () => {
  const [first, second] = [await run({ range: 'mse' }), await run({ range: 'mse' })];
  assert.deepEqual(first.ranges, second.ranges);
  assert.deepEqual(first.shapes, second.shapes);
});

test('a value that becomes infinite is named', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', FEATURES]]],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Reciprocal', inputs: ['x'], outputs: ['y'] }],
  });
  const dataset = memoryDataset({ x: floats([2, FEATURES], new Float32Array(2 * FEATURES)) });
  await assert.rejects(run({ model, dataset, values: ['y'] }), (error: TritforgeError) => {
    assert.equal(error.code, 'MODEL_NONFINITE_ACTIVATIONS');
    assert.match(error.message, /"y" becomes Infinity/);
    return true;
  });
});

test('names that the main graph does not have are ignored, and values that are no tensors too', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', FEATURES]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'SequenceConstruct', inputs: ['x', 'x'], outputs: ['pair'] },
      { op: 'SequenceAt', inputs: ['pair', 'zero'], outputs: ['y'] },
    ],
    constants: { zero: tensorFromInt64([], [0]) },
  });
  const { ranges, shapes } = await run({ model, values: ['y', 'pair', 'nowhere'] });
  assert.deepEqual([...ranges.keys()], ['y']);
  assert.deepEqual([...shapes.keys()], ['y']);
});

test('integer inputs are fed as they are, and float16 activations are read', async () => {
  const model = tinyModel({
    inputs: [['ids', 'int64', ['N', 2]]],
    outputs: [['half', 'float16', null]],
    nodes: [
      { op: 'Gather', inputs: ['table', 'ids'], outputs: ['rows'] },
      { op: 'Cast', inputs: ['rows'], outputs: ['half'], attributes: { to: { kind: 'int', value: 10n } } },
    ],
    constants: { table: tensorFromFloats([4, 1], Float32Array.of(-0.5, 0.25, 1.5, 7)) },
  });
  const dataset = memoryDataset({ ids: int64s([2, 2], [0, 1, 2, 1]) });
  const { ranges, shapes } = await run({ model, dataset, values: ['half', 'ids'] });
  assert.equal(ranges.get('half')!.min, -0.5);
  assert.equal(ranges.get('half')!.max, 1.5);
  assert.deepEqual(shapes.get('half'), { dtype: 'float16', shape: [1, 2, 1] });
  assert.equal(ranges.has('ids'), false);
});

test('progress counts samples, cancellation stops between two of them, and no scratch file stays', async () => {
  const controller = new AbortController();
  const seen: number[] = [];
  const onProgress = (done: number, total: number) => {
    assert.equal(total, SAMPLES);
    seen.push(done);
    if (done === 3) controller.abort();
  };
  await assert.rejects(run({ onProgress, signal: controller.signal }), { code: 'CANCELED' });
  assert.ok(seen.at(-1)! < SAMPLES);
  assert.deepEqual(await readdir(scratchDir), []);
});
