import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floats, int64s } from '../testing/memory-dataset.js';
import { chooseMetric, type FirstRun } from './choose-metric.js';

const LOGITS = floats([1, 3], [0, 1, 2]);
const TOKENS = floats([1, 2, 3], [0, 1, 2, 0, 1, 2]);
const RECORD = { feeds: new Map([['x', floats([1, 4], [0, 0, 0, 0])]]), labels: null, samples: 1, hasReference: true };

function choose(run: Partial<FirstRun>, asked?: Parameters<typeof chooseMetric>[1]) {
  const { metric, output, hasClasses } = chooseMetric({ ...RECORD, outputs: new Map([['y', LOGITS]]), ...run }, asked);
  return { metric: metric.name, output, hasClasses };
}

test('labels decide on the metric: class indices top1, one per token perplexity, floats mse', () => {
  assert.equal(choose({ labels: int64s([1], [2]) }).metric, 'top1');
  assert.equal(choose({ outputs: new Map([['y', TOKENS]]), labels: int64s([1, 2], [0, 1]) }).metric, 'perplexity');
  assert.equal(choose({ outputs: new Map([['y', TOKENS]]), labels: int64s([1], [0]) }).metric, 'top1');
  assert.equal(choose({ labels: floats([1, 3], [1, 2, 3]) }).metric, 'mse');
});

test('without labels classifiers are compared by agreement, others by their distance to the original', () => {
  assert.deepEqual(choose({}), { metric: 'agreement', output: 'y', hasClasses: true });
  assert.deepEqual(choose({ outputs: new Map([['p', floats([1, 1], [0.5])]]) }), {
    metric: 'mse',
    output: 'p',
    hasClasses: false,
  });
  const rebuilt = new Map([['y', floats([1, 4], [1, 2, 3, 4])]]);
  assert.deepEqual(choose({ outputs: rebuilt }), { metric: 'mse', output: 'y', hasClasses: false });
});

test('the output is the first floating-point one with classes that counts the samples', () => {
  const outputs = new Map([
    ['ids', int64s([1, 3], [1, 2, 3])],
    ['probability', floats([1, 1], [0.5])],
    ['state', floats([2, 1, 8], new Float32Array(16))],
    ['scores', LOGITS],
  ]);
  assert.equal(choose({ outputs }).output, 'scores');
  assert.equal(choose({ outputs }, 'mse').output, 'probability');
});

test('the cache of a decoder is no output to score, wherever it stands', () => {
  const cache = floats([1, 2, 2, 4], new Float32Array(16));
  const outputs = new Map([
    ['present.0.key', cache],
    ['present_key_values.0', cache],
    ['presented', TOKENS],
  ]);
  const chosen = choose({ outputs, labels: int64s([1, 2], [0, 1]) });
  assert.deepEqual(chosen, { metric: 'perplexity', output: 'presented', hasClasses: true });
});

test('a metric that cannot be computed is refused with its reason', () => {
  assert.throws(() => choose({}, 'top5'), { code: 'DATASET_LABELS_MISSING', message: /top5/ });
  assert.throws(() => choose({}, 'perplexity'), { code: 'DATASET_LABELS_MISSING' });
  assert.throws(() => choose({ labels: int64s([1], [0]) }, 'perplexity'), {
    code: 'METRIC_UNSUPPORTED',
    message: /\[N, T, V\]/,
  });
  assert.throws(() => choose({ hasReference: false }), { code: 'DATASET_LABELS_MISSING' });
  assert.throws(() => choose({ hasReference: false }, 'agreement'), {
    code: 'METRIC_UNSUPPORTED',
    message: /only one model/,
  });
  assert.throws(() => choose({ hasReference: false }, 'mse'), { code: 'DATASET_LABELS_MISSING' });
  assert.throws(() => choose({ outputs: new Map([['ids', int64s([1], [1])]]) }), { code: 'METRIC_UNSUPPORTED' });
});
