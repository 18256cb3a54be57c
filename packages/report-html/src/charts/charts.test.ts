import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleLayer } from '../testing/sample-reports.js';
import { linearAxis, logAxis } from './axis.js';
import { weightHistogramChart } from './histogram.js';
import { layerBars } from './layer-bars.js';
import { lossCurve } from './loss-curve.js';
import { placeLabels } from './place-labels.js';
import { type ScatterPoint, scatter } from './scatter.js';

test('an axis has round values on it, and no more than fit', () => {
  const span = { from: 100, to: 0 };
  assert.deepEqual(linearAxis(0, 1, span, 5).ticks, [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(linearAxis(-0.05, 0.32, span, 4).ticks, [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(linearAxis(61.2, 91.5, span, 5).ticks, [70, 80, 90]);
  assert.equal(linearAxis(0, 1, span, 5).at(0.25), 75);
  assert.deepEqual(linearAxis(3, 3, span, 5).ticks, [3]);
});

test('a logarithmic axis has 1, 2 and 5 on it, and equal ratios are equal distances', () => {
  const axis = logAxis(40, 1200, { from: 0, to: 100 });
  assert.deepEqual(axis.ticks, [50, 100, 200, 500, 1000]);
  assert.ok(Math.abs(axis.at(200) - axis.at(100) - (axis.at(1000) - axis.at(500))) < 1e-9);
});

test('labels cover neither points nor each other, and where there is no room there is none', () => {
  const bounds = { left: 0, right: 200, top: 0, bottom: 100 };
  const crowd = Array.from({ length: 40 }, (_, i) => ({ label: `network ${i}`, cx: 100 + (i % 8), cy: 50 + (i % 5) }));
  const labels = placeLabels([...crowd, { label: 'alone', cx: 20, cy: 10 }], bounds);
  assert.ok(labels.length >= 3 && labels.length < 10, `${labels.length} labels`);
  assert.ok(labels.some(({ text }) => text === 'alone'));
  const rows = labels.map(({ y }) => y).sort((a, b) => a - b);
  assert.ok(rows.every((y, i) => i === 0 || labels.length === 1 || y >= rows[i - 1]!));
});

/** Positions of the line through kept points. */
function lineOf(points: readonly ScatterPoint[], higherIsBetter: boolean): number {
  const dimension = { title: 't', format: String };
  const { text } = scatter(points, {
    description: 'd',
    x: dimension,
    y: dimension,
    higherIsBetter,
    yBounds: [0, 100],
  });
  return (/polyline class="front" points="([^"]*)"/.exec(text)?.[1] ?? '').split(' ').filter(Boolean).length;
}

test('the line of a plot goes through the kept points that are best in it', () => {
  const kept = (x: number, y: number): ScatterPoint => ({ label: 'k', x, y, kind: 'kept' });
  const points = [kept(1, 50), kept(2, 40), kept(3, 70), { ...kept(4, 90), kind: 'tried' as const }];
  assert.equal(lineOf(points, true), 2);
  assert.equal(lineOf([kept(1, 9), kept(2, 5), kept(3, 7), kept(4, 1)], false), 3);
});

const epochs = (count: number, lossOf: (epoch: number) => number) =>
  Array.from({ length: count + 1 }, (_, epoch) => ({
    epoch,
    seconds: epoch,
    trainingLoss: epoch === 0 ? null : lossOf(epoch) / 2,
    heldOutLoss: lossOf(epoch),
  }));
const placesOf = (svg: string, className: string) =>
  (new RegExp(`polyline class="${className}" points="([^"]*)"`).exec(svg)?.[1] ?? '')
    .split(' ')
    .map((place) => place.split(',').map(Number) as [number, number]);

test('a curve of losses has both losses, the start across and its mark at the best epoch', () => {
  const { text } = lossCurve(
    epochs(4, (epoch) => 1 + (epoch - 3) ** 2 / 9),
    3,
    'd',
  );
  const [heldOut, training] = [placesOf(text, 'l-held-out'), placesOf(text, 'l-training')];
  assert.deepEqual([heldOut.length, training.length], [5, 4]);
  assert.deepEqual(
    training.map(([x]) => x),
    heldOut.slice(1).map(([x]) => x),
  );
  const [bestX, bestY] = heldOut[3]!;
  assert.equal(bestY, Math.max(...heldOut.map(([, y]) => y)), 'drawings count downwards');
  assert.ok(text.includes(`class="p-result" d="M${bestX} ${Math.round((bestY - 7) * 10) / 10}l7`), text);
  assert.ok(text.includes(`class="l-start" d="M62 ${heldOut[0]![1]}H`), text);
  assert.deepEqual(
    [...text.matchAll(/text-anchor="middle">(\d[^<]*)</g)].map(([, tick]) => tick),
    ['0', '1', '2', '3', '4'],
  );
});

test('losses that fall a lot are drawn by their ratio, and all of them lie within the plot', () => {
  const halving = (epoch: number) => 8 / 2 ** epoch;
  const places = placesOf(lossCurve(epochs(6, halving), 6, 'd').text, 'l-held-out');
  const steps = places.slice(1).map(([, y], index) => y - places[index]![1]);
  assert.ok(
    steps.every((step) => Math.abs(step - steps[0]!) < 0.11),
    `${steps}`,
  );
  assert.ok(places.every(([x, y]) => x >= 62 && x <= 546 && y >= 14 && y <= 284));
});

test('a curve of ten thousand epochs is thinned, and keeps its ends and its best epoch', () => {
  const lossOf = (epoch: number) => (epoch === 4567 ? 0.5 : 1);
  const { text } = lossCurve(epochs(10_000, lossOf), 4567, 'd');
  const places = placesOf(text, 'l-held-out');
  assert.ok(places.length <= 503 && text.length < 40_000, `${places.length} points, ${text.length} characters`);
  assert.equal(places.filter(([, y]) => y === Math.max(...places.map(([, other]) => other))).length, 1);
  assert.match(text, /<title>Epoch 4567: 0\.5<\/title>/);
  assert.doesNotMatch(text, /<circle/);
});

test('bars go up and down from zero, one path per precision, and stop at the ends', () => {
  const layers = [40, 8, -3, null].map((outputSqnrDb) => sampleLayer('n', { outputSqnrDb }));
  const panel = {
    title: 'SQNR',
    figureOf: ({ outputSqnrDb }: { outputSqnrDb: number | null }) => outputSqnrDb,
    format: String,
    ends: [-10, 20] as const,
  };
  const { text } = layerBars(layers, [panel], 'd');
  const paths = [...text.matchAll(/<path class="k-n64" d="([^"]*)"/g)].map(([, path]) => path!);
  assert.equal(paths.length, 1);
  const heights = [...paths[0]!.matchAll(/M[\d.]+ ([\d.]+)V([\d.]+)h/g)].map(
    ([, zero, end]) => Number(zero) - Number(end),
  );
  assert.equal(heights.length, 3);
  const [cut, up, down] = heights as [number, number, number];
  assert.ok(Math.abs(cut - 64) < 0.2 && Math.abs(up - 25.6) < 0.2 && Math.abs(down + 9.6) < 0.2, `${heights}`);
});

test('a bin of zeros that dwarfs the others is cut and says what it holds', () => {
  const histogram = { limit: 1, original: [5, 10, 20, 10, 5], quantized: [5, 0, 40, 0, 5] };
  assert.match(weightHistogramChart(histogram, 'd').text, /80 % around 0/);
  const even = { limit: 1, original: [5, 10, 20, 10, 5], quantized: [5, 10, 20, 10, 5] };
  assert.doesNotMatch(weightHistogramChart(even, 'd').text, /around 0/);
});
