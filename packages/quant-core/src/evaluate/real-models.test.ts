import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { calibrate } from '../calibrate/calibrate.js';
import { chooseRange } from '../calibrate/choose-range.js';
import type { ValueRange } from '../calibrate/value-range.js';
import { planFeeds } from '../data/feed-plan.js';
import { readModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { floats, int64s, memoryDataset } from '../testing/memory-dataset.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { evaluateModel } from './evaluate-model.js';

const RESNET = 'models/resnet20_cifar10.onnx';
const CIFAR = 'sets/cifar10_test1000.bin.gz';
const MNIST = 'models/mnist.onnx';
const DIGITS = 'sets/mnist_test3000.bin.gz';
const STORIES = 'models/stories260K.onnx';
const TOKENS = 'sets/tinystories_val_tokens200.json.gz';

let scratchDir: string;
before(async () => {
  scratchDir = await mkdtemp(join(tmpdir(), 'tritforge-real-'));
});
after(() => rm(scratchDir, { recursive: true }));

async function gunzip(file: string): Promise<Buffer> {
  return gunzipSync(await readFile(sharedData(file)));
}

/** Rows of one label byte and the pixels; `normalize` sees a pixel and its index in the row. */
async function images(
  file: string,
  input: string,
  shape: readonly number[],
  normalize: (pixel: number, i: number) => number,
) {
  const bytes = await gunzip(file);
  const pixels = shape.reduce((product, size) => product * size, 1);
  const count = bytes.length / (pixels + 1);
  const values = new Float32Array(count * pixels);
  const labels: number[] = [];
  for (let row = 0; row < count; row++) {
    labels.push(bytes[row * (pixels + 1)]!);
    for (let i = 0; i < pixels; i++) values[row * pixels + i] = normalize(bytes[row * (pixels + 1) + 1 + i]!, i);
  }
  return memoryDataset({ [input]: floats([count, ...shape], values) }, int64s([count], labels));
}

const CHANNELS = [
  [0.485, 0.229],
  [0.456, 0.224],
  [0.406, 0.225],
] as const;

function cifar() {
  return images(CIFAR, 'input', [3, 32, 32], (pixel, i) => {
    const [mean, std] = CHANNELS[Math.floor(i / 1024)]!;
    return (pixel / 255 - mean) / std;
  });
}

test('ResNet-20 scores its published-weights accuracy on 1000 CIFAR-10 images', {
  skip: skipWithout(RESNET, CIFAR),
}, async () => {
  const evaluation = await evaluateModel({
    modelPath: sharedData(RESNET),
    dataset: await cifar(),
    runtime: createOnnxRuntime(),
  });
  assert.equal(evaluation.metric, 'top1');
  // Another processor may round one image to the other side.
  assert.ok(Math.abs(evaluation.value - 91.5) <= 0.1);
});

test('the MNIST network with its fixed batch of 1 scores 98.1 %', { skip: skipWithout(MNIST, DIGITS) }, async () => {
  const dataset = await images(DIGITS, 'Input3', [1, 28, 28], (pixel) => pixel);
  const evaluation = await evaluateModel({ modelPath: sharedData(MNIST), dataset, runtime: createOnnxRuntime() });
  assert.ok(Math.abs(evaluation.value - 98.1) <= 0.1);
});

test('the language model has the recorded perplexity over 50,266 tokens', {
  skip: skipWithout(STORIES, TOKENS),
}, async () => {
  const stories = JSON.parse((await gunzip(TOKENS)).toString()) as number[][];
  const length = 256;
  const padded = (story: number[], from: number, filler: number) =>
    Array.from({ length }, (_, t) => story[from + t] ?? filler);
  // The model is causal: what pads the end of a story does not reach the tokens before it, and carries no label.
  const dataset = memoryDataset(
    {
      tokens: int64s(
        [stories.length, length],
        stories.flatMap((story) => padded(story, 0, 0)),
      ),
    },
    int64s(
      [stories.length, length],
      stories.flatMap((story) => padded(story, 1, -1)),
    ),
  );
  const evaluation = await evaluateModel({ modelPath: sharedData(STORIES), dataset, runtime: createOnnxRuntime() });
  assert.equal(evaluation.metric, 'perplexity');
  assert.equal(evaluation.value.toFixed(4), '3.4750');
});

test('calibrating ResNet-20 twice, once under a tight memory cap, gives identical ranges', {
  skip: skipWithout(RESNET, CIFAR),
}, async () => {
  const model = await readModel(sharedData(RESNET));
  const dataset = await cifar();
  const request = {
    model,
    values: model.graph.nodes
      .filter(({ opType }) => ['Conv', 'Relu', 'Add', 'Gemm'].includes(opType))
      .map(({ outputs }) => outputs[0]!),
    dataset,
    feedPlan: planFeeds(model.graph.inputs, dataset.summary, null),
    runtime: createOnnxRuntime(),
    scratchDir,
    maxSamples: 16,
  };
  const whole = await calibrate(request);
  const capped = await calibrate({ ...request, memoryCapBytes: 2 ** 20 });
  assert.ok(whole.histograms.size > 40);
  const rangesOf = ({ histograms }: typeof whole): [string, ValueRange][] =>
    [...histograms].map(([name, histogram]) => [
      name,
      chooseRange(histogram, { method: 'mse', nonNegative: false, maxCode: 255 }),
    ]);
  const ranges = rangesOf(whole);
  assert.deepEqual(rangesOf(capped), ranges);
  for (const node of model.graph.nodes) {
    if (node.opType === 'Relu') assert.equal(new Map(ranges).get(node.outputs[0]!)!.zeroPoint, 0);
  }
});
