import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostTensor } from '../../runtime/runtime.js';
import { floats, int64s } from '../../testing/memory-dataset.js';
import type { Accumulator, Metric } from '../metric.js';
import { mean, standardError } from '../statistics.js';
import { agreement } from './agreement.js';
import { mse } from './mse.js';
import { perplexity } from './perplexity.js';
import { topK } from './top-k.js';

const top1 = topK('top1', 1);
const top5 = topK('top5', 5);

function score(metric: Metric, output: HostTensor, labels: HostTensor | null, reference = output): Accumulator {
  const accumulator = metric.accumulator();
  accumulator.add({ output, reference, labels, samples: output.shape[0]! });
  return accumulator;
}

test('top1 and top5 are the share of samples, in percent, with the label ranked first or among the first five', () => {
  const logits = floats([4, 6], [9, 1, 2, 3, 4, 5, 0, 9, 8, 7, 6, 5, 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1]);
  const labels = int64s([4], [0, 5, 0, 1]);
  assert.equal(score(top1, logits, labels).value(), 25);
  assert.deepEqual([...score(top1, logits, labels).scores()], [100, 0, 0, 0]);
  assert.equal(score(top5, logits, labels).value(), 75);
});

test('of equal scores the smaller class index ranks first, so that ties count the same everywhere', () => {
  const tied = floats([2, 3], [5, 5, 1, 5, 5, 1]);
  assert.deepEqual([...score(top1, tied, int64s([2], [0, 1])).scores()], [100, 0]);
});

test('a row with a NaN is wrong and agrees with nothing', () => {
  const broken = floats([1, 2], [Number.NaN, 1]);
  assert.equal(score(top1, broken, int64s([1], [0])).value(), 0);
  assert.equal(score(agreement, broken, null).value(), 0);
});

test('classes may be followed by axes of size 1, be last for tokens, or lie on axis 1 for pixels', () => {
  assert.equal(score(top1, floats([1, 3, 1, 1], [0, 2, 1]), int64s([1], [1])).value(), 100);
  assert.equal(score(top1, floats([1, 2, 2], [0, 1, 1, 0]), int64s([1, 2], [1, 1])).value(), 50);
  const pixels = floats([1, 2, 1, 3], [9, 0, 9, 0, 9, 0]);
  assert.equal(score(top1, pixels, int64s([1, 1, 3], [0, 1, 1])).value(), 200 / 3);
});

test('labels below 0 are left out, and a dataset of nothing else is refused', () => {
  const logits = floats([1, 2, 2], [0, 1, 1, 0]);
  assert.equal(score(top1, logits, int64s([1, 2], [1, -100])).value(), 100);
  assert.throws(() => score(top1, logits, int64s([1, 2], [-1, -1])).value(), { code: 'DATASET_LABELS_INVALID' });
});

test('labels that are no class of the model, or not one per row of scores, are refused', () => {
  const logits = floats([2, 3], [1, 2, 3, 1, 2, 3]);
  assert.throws(() => score(top1, logits, int64s([2], [0, 3])), {
    code: 'DATASET_LABELS_INVALID',
    message: /label 3 .* 3 classes/,
  });
  assert.throws(() => score(top1, logits, int64s([2, 2], [0, 1, 0, 1])), { code: 'METRIC_UNSUPPORTED' });
  assert.throws(() => score(top1, logits, null), { code: 'DATASET_LABELS_MISSING' });
});

test('agreement compares top classes with the original', () => {
  const original = floats([4, 2], [1, 0, 1, 0, 0, 1, 0, 1]);
  const other = floats([4, 2], [9, 0, 0, 9, 0, 9, 0, 9]);
  assert.equal(score(agreement, other, null, original).value(), 75);
  assert.equal(score(agreement, other, int64s([4], [0, -1, 0, 0]), original).value(), 100);
});

test('mse compares with labels of any dtype, else with the original', () => {
  const output = floats([2, 2], [1, 2, 3, 4]);
  assert.equal(score(mse, output, int64s([2, 2], [1, 2, 3, 2])).value(), 1);
  assert.equal(score(mse, output, null, floats([2, 2], [0, 2, 3, 4])).value(), 0.25);
  assert.deepEqual([...score(mse, output, int64s([2, 2], [1, 2, 3, 2])).scores()], [0, 2]);
  assert.throws(() => score(mse, output, int64s([2], [1, 2])), { code: 'METRIC_UNSUPPORTED' });
});

test('perplexity equals the direct formula, over the labelled tokens of all samples', () => {
  const logits = [0.3, -1, 2, 1.5, 0, 0.1, -0.7, 0.2, 0.4, 2, 2, -3];
  const labels = [2, 0, -1, 1];
  let loss = 0;
  for (const row of [0, 1, 3]) {
    const own = logits.slice(3 * row, 3 * row + 3);
    loss -= Math.log(Math.exp(own[labels[row]!]!) / own.reduce((sum, logit) => sum + Math.exp(logit), 0));
  }
  const { value } = score(
    perplexity,
    { ...floats([2, 2, 3], logits), dtype: 'float64', data: Float64Array.from(logits) },
    int64s([2, 2], labels),
  );
  assert.ok(Math.abs(value() - Math.exp(loss / 3)) < 1e-12);
});

test('perplexity does not overflow for large logits', () => {
  const { value } = score(perplexity, floats([1, 2, 2], [1e4, 1e4, -1e4, -1e4]), int64s([1, 2], [0, 1]));
  assert.ok(Math.abs(value() - 2) < 1e-12);
});

test('the scores of perplexity have the standard error that leaving samples out gives', () => {
  const logits = Float32Array.from({ length: 40 * 3 * 4 }, (_, i) => Math.sin(i * i) * 2);
  const labels = Array.from({ length: 40 * 3 }, (_, i) => (i % 7 === 0 ? -1 : i % 4));
  const part = (from: number, to: number) =>
    [
      floats([to - from, 3, 4], logits.subarray(from * 12, to * 12)),
      int64s([to - from, 3], labels.slice(from * 3, to * 3)),
    ] as const;
  const whole = score(perplexity, ...part(0, 40));
  const leftOut = Array.from({ length: 40 }, (_, skipped) => {
    const accumulator = perplexity.accumulator();
    for (const [from, to] of [
      [0, skipped],
      [skipped + 1, 40],
    ] as const) {
      if (from === to) continue;
      const [output, rows] = part(from, to);
      accumulator.add({ output, reference: output, labels: rows, samples: to - from });
    }
    return accumulator.value();
  });
  const jackknife = Math.sqrt((39 / 40) * leftOut.reduce((sum, value) => sum + (value - mean(leftOut)) ** 2, 0));
  assert.ok(Math.abs(standardError(whole.scores())! / jackknife - 1) < 0.05);
  assert.ok(Math.abs(mean(whole.scores()) - whole.value()) < 1e-9);
});

test('an output without classes is refused by metrics that need them', () => {
  for (const output of [floats([2, 1], [0, 1]), int64s([2, 2], [1, 2, 3, 4]), floats([2], [1, 2])]) {
    assert.throws(() => score(agreement, output, null), { code: 'METRIC_UNSUPPORTED' });
  }
});

test('a single sample may lack the sample axis', () => {
  const accumulator = top1.accumulator();
  const output = floats([3], [0, 5, 1]);
  accumulator.add({ output, reference: output, labels: int64s([1], [1]), samples: 1 });
  assert.equal(accumulator.value(), 100);
});
