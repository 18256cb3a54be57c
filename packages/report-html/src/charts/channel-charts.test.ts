import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleNce } from '../testing/sample-nce.js';
import type { Width } from '../width-change.js';
import { candidateGrid, shownEpochs } from './candidate-grid.js';
import { candidateMap } from './candidate-map.js';
import { costCurve } from './cost-curve.js';
import { widthBars } from './width-bars.js';

const width = (original: number, result: number, layers = ['conv']): Width => ({ original, result, layers, ties: [] });
const { widths, course } = sampleNce('net');

const rectsOf = (svg: string, className: string) =>
  [...svg.matchAll(new RegExp(`<rect class="${className}" x="([\\d.]+)" y="([\\d.]+)" width="([\\d.]+)"`, 'g'))].map(
    ([, x, y, length]) => ({ x: Number(x), y: Number(y), length: Number(length) }),
  );

test('bars are as long as there are channels, within their outline or beyond it, and say which by a mark too', () => {
  const { text } = widthBars([width(16, 24), width(64, 32), width(32, 32)], 'd');
  const before = rectsOf(text, 'c-before').map(({ length }) => length);
  const [grew, shrank, stayed] = ['grew', 'shrank', 'stayed'].map((change) => rectsOf(text, `c-${change}`));
  assert.deepEqual([grew!.length, shrank!.length, stayed!.length], [1, 1, 1]);
  assert.deepEqual(before, [before[1]! / 4, before[1]!, before[1]! / 2]);
  const lengths = [grew, shrank, stayed].map((bars) => bars![0]!.length);
  assert.deepEqual(lengths, [before[0]! * 1.5, before[1]! / 2, before[2]!]);
  assert.match(text, /16 → 24<.*▲ 50\.0 %.*64 → 32<.*▼ 50\.0 %.*32 → 32<.*>–</s);
});

test('a row of bars names a layer and counts those that are tied to it; hovering names all, up to a number', () => {
  const many = Array.from({ length: 50 }, (_, layer) => `layer${layer}`);
  const { text } = widthBars([width(8, 8, ['alone']), width(8, 8, ['first', 'second']), width(8, 8, many)], 'd');
  assert.match(text, />alone<\/tspan><\/text>.*>first<\/tspan> and 1 more<.*>layer0<\/tspan> and 49 more</s);
  assert.match(text, /<title>first\nsecond\n8 channels before, 8 after<\/title>/);
  assert.match(text, /layer39\nand 10 more\n/);
  assert.doesNotMatch(text, /layer40/);
});

for (const count of [1, 12, 100]) {
  test(`${count} rows of bars have room for their text, and lie within the drawing`, () => {
    const { text } = widthBars(
      Array.from({ length: count }, (_, row) => width(2 ** (4 + (row % 8)), 2 ** (4 + (row % 8)) + 3)),
      'd',
    );
    const height = Number(/viewBox="0 0 960 ([\d.]+)"/.exec(text)![1]);
    const rows = rectsOf(text, 'hover');
    const pitches = rows.slice(1).map(({ y }, row) => y - rows[row]!.y);
    assert.equal(rows.length, count);
    assert.ok(
      pitches.every((pitch) => pitch > 12.3 && pitch < 26.1),
      `${pitches}`,
    );
    assert.ok(rows.at(-1)!.y < height - 24 && height < 1400, `${height}`);
    for (const { x, length } of rectsOf(text, 'c-grew')) assert.ok(x === 320 && length <= 432.1, `${length}`);
  });
}

test('candidates have rows once they join, and epochs columns', () => {
  const rows = candidateGrid(course, 0, widths[0]!);
  assert.deepEqual(
    rows.map(({ from, to }) => [from, to]),
    [5, 6, 8, 10, 11, 13, 14, 16, 18, 20].map((channels) => [channels, channels]),
  );
  assert.ok(rows.every(({ shares }) => shares.length === course.length));
  assert.equal(rows.at(-1)!.shares[0], null);
  assert.equal(rows.at(-1)!.shares.at(-1), course.at(-1)!.choices[0]!.probabilities.at(-1));
  assert.equal(rows[0]!.shares[0], course[0]!.choices[0]!.probabilities[0]);
});

test('too many candidates share rows and add up there; what is no candidate or no probability is not there', () => {
  const channels = Array.from({ length: 100 }, (_, at) => at + 1);
  const choices = [{ channels, probabilities: channels.map(() => 0.01) }];
  const rows = candidateGrid([{ ...course[0]!, choices }], 0, width(100, 100));
  assert.equal(rows.length, 20);
  assert.ok(
    rows.every(({ shares: [share], from, to }) => to - from === 4 && Math.abs(share! - 0.05) < 1e-9),
    JSON.stringify(rows[0]),
  );
  const broken = [{ ...course[0]!, choices: [{ channels: [4, 8], probabilities: [Number.NaN, 0.5] }] }];
  assert.deepEqual(candidateGrid(broken, 0, width(8, 12)), [
    { from: 8, to: 8, shares: [0.5] },
    { from: 12, to: 12, shares: [null] },
  ]);
  assert.deepEqual(candidateGrid(broken, 1, width(8, 8)), [{ from: 8, to: 8, shares: [null] }]);
});

test('epochs are thinned to what can be drawn, the first and the last among them', () => {
  const long = Array.from({ length: 10_000 }, (_, at) => ({ ...course[0]!, epoch: at + 1 }));
  for (const [grids, count] of [
    [1, 60],
    [36, 27],
    [1000, 10],
  ] as const) {
    const epochs = shownEpochs(long, grids).map(({ epoch }) => epoch);
    assert.equal(epochs.length, count);
    assert.deepEqual([epochs[0], epochs.at(-1)], [1, 10_000]);
  }
  assert.equal(shownEpochs(course, 6), course);
});

const mapOf = (rows: Parameters<typeof candidateMap>[0], of: Width) =>
  candidateMap(rows, { width: of, epochs: [1, 2, 3], darkest: 0.8, description: 'd' }).text;
const cellsOf = (svg: string) =>
  [...svg.matchAll(/fill-opacity="([\d.]+)" d="([^"]*)"/g)].flatMap(([, opacity, path]) =>
    [...path!.matchAll(/M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)H[\d.]+z/g)].map(([, ...ends]) => {
      const [left, top, right, bottom] = ends.map(Number);
      return { opacity: Number(opacity), left, top, right, bottom };
    }),
  );

test('a map is darker where candidates are likelier, is empty before they join, and marks what came out', () => {
  const rows = [
    { from: 8, to: 8, shares: [0.2, 0.2, 0.1] },
    { from: 16, to: 16, shares: [0.8, 0.8, 0.1] },
    { from: 18, to: 18, shares: [null, null, 0.8] },
  ];
  const text = mapOf(rows, width(16, 18));
  const cells = cellsOf(text);
  const at = (x: number, y: number) =>
    cells.filter(({ left, right, top, bottom }) => left! <= x && x < right! && top! <= y && y < bottom!);
  const [low, middle, high] = [110, 66, 22];
  assert.deepEqual([at(60, high), at(150, high)], [[], []]);
  const [likely, unlikely] = [at(270, high)[0]!.opacity, at(60, low)[0]!.opacity];
  assert.ok(likely === 1 && likely === at(60, middle)[0]!.opacity && unlikely < 0.4, `${likely} ${unlikely}`);
  // Neighbours of one shade are one piece.
  assert.equal(cells.length, 5);
  const [, circle] = /<circle class="p-original" cx="292" cy="([\d.]+)"/.exec(text)!;
  const [, diamond] = /<path class="p-result" d="M292 ([\d.]+)l/.exec(text)!;
  assert.ok(Math.abs(Number(circle) - 66) < 1 && Math.abs(Number(diamond) + 5 - 23.4) < 1, `${circle} ${diamond}`);
  assert.match(text, /class="name"[^>]*>18</);
  assert.doesNotMatch(mapOf(rows, width(16, 16)), /p-original/);
});

test('labels of a map do not cover each other, that of the result comes first', () => {
  const rows = Array.from({ length: 24 }, (_, at) => ({ from: 100 + at, to: 100 + at, shares: [0.1, 0.1, 0.1] }));
  const text = mapOf(rows, width(111, 112));
  const labels = [...text.matchAll(/<text[^>]* y="([\d.]+)" text-anchor="end">(1\d\d)</g)];
  assert.deepEqual(labels.map(([, , label]) => label).sort(), ['100', '112', '123']);
  const heights = labels.map(([, y]) => Number(y)).sort((a, b) => a - b);
  assert.ok(
    heights.slice(1).every((y, at) => y - heights[at]! >= 11),
    `${heights}`,
  );
});

test('costs are drawn with their limit, above or below it, and within the plot', () => {
  const point = (epoch: number, macs: number, parameters: number) => ({ epoch, macs, parameters });
  const { text } = costCurve([point(1, 0.5, 1.5), point(2, 0.9, 1.25), point(3, 0.95, 1)], 'd');
  const places = (name: string) =>
    new RegExp(`polyline class="${name}" points="([^"]*)"`)
      .exec(text)![1]!
      .split(' ')
      .map((place) => place.split(',').map(Number) as [number, number]);
  const limit = Number(/class="limit" d="M62 ([\d.]+)H/.exec(text)![1]);
  const [macs, parameters] = [places('l-macs'), places('l-parameters')];
  assert.ok(
    macs.every(([, y]) => y > limit),
    'drawings count downwards',
  );
  assert.ok(parameters[0]![1] < limit && parameters[2]![1] === limit);
  for (const [x, y] of [...macs, ...parameters]) assert.ok(x >= 62 && x <= 546 && y >= 14 && y <= 284, `${x} ${y}`);
  assert.match(text, />100 %</);
  const long = costCurve(
    Array.from({ length: 10_000 }, (_, at) => point(at + 1, 0.9, 0.9)),
    'd',
  );
  assert.ok(long.text.length < 30_000, `${long.text.length}`);
});
