import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleLayer } from '../testing/sample-reports.js';
import { linearAxis, logAxis } from './axis.js';
import { weightHistogramChart } from './histogram.js';
import { layerBars } from './layer-bars.js';
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
