import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accuracyPage } from './page.js';
import { sampleAccuracy, sampleRow } from './sample-row.js';

test('a page has a section for each model and a table for each set', () => {
  const accuracies = [sampleAccuracy({}), sampleAccuracy({ dataset: 'second.tar', samples: 10_000, quantized: 80.5 })];
  const page = accuracyPage([sampleRow({ accuracies }), sampleRow({ model: 'other' })]);
  assert.match(page, /^## network\n\nOriginal: first\.npz top1 91\.50 \(1000 samples\); second\.tar top1 91\.50/m);
  assert.match(page, /^### network, first\.npz$/m);
  assert.match(page, /^### network, second\.tar\n\n.*\n.*\n.*\| 80\.50 \|/m);
  assert.match(page, /^## other$/m);
  assert.doesNotMatch(page, /^### other, second\.tar$/m);
});

test('a line says accuracy, drop with its error, three kinds of bits, time and commit', () => {
  const page = accuracyPage([sampleRow({ layers: { ...sampleRow({}).layers, secondPlanes: 7 }, commit: 'feed123+' })]);
  const cells =
    '| regressed (default) | 64 | 90.25 | 1.25 ± 0.50 | 95.0 | 2.250 | 2.500 | 4.00 | 1000 | 7 | 0 | 1.0 | 2.0 | feed123+ |';
  assert.ok(page.includes(cells), page);
});

test('drops of the steps stand side by side, large groups first, and what was not measured is empty', () => {
  const step = (column: string, groupSize: 4 | 64, drop: number) =>
    sampleRow({ column, groupSize, accuracies: [sampleAccuracy({ drop })] });
  const page = accuracyPage([step('paper', 4, 20), step('paper', 64, 70), step('feedback', 64, 5)]);
  assert.match(
    page,
    /^\| 64 \| 70\.00 ± 0\.50 \| {2}\| {2}\| 5\.00 ± 0\.50 \| {2}\| {2}\| {2}\|\n\| 4 \| 20\.00 ± 0\.50 \|/m,
  );
});

test('numbers that mean nothing any more stay short, and those that are missing are dashes', () => {
  const accuracies = [
    sampleAccuracy({ metric: 'perplexity', quantized: Number.MAX_VALUE, drop: Number.MAX_VALUE, agreement: null }),
  ];
  const bitsPerWeight = { quantizedLayers: 8.1, lowBitLayers: null, wholeModel: 9 };
  const page = accuracyPage([sampleRow({ accuracies, bitsPerWeight, column: 'int8', groupSize: null })]);
  assert.ok(page.includes('| int8 | – | 1.8e+308 | 1.8e+308 ± 0.50 | – | – | 8.100 | 9.00 |'), page);
});
