import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import type { Measurement } from '../accuracy/rows.js';
import { type NceRow, ncePage } from './page.js';

function row(name: string, seed: number, quantized: number, channels: number, nce: NonNullable<Recipe['nce']>): NceRow {
  const cost = { original: 12_500_000, limit: 12_500_000, result: 12_400_000 };
  const widths = [{ layers: ['conv'], original: 16, result: channels, ties: [] }];
  const measured = {
    accuracies: [{ dataset: 'test.tar', original: 83, quantized }],
    nce: { widths, macs: cost, parameters: { ...cost, original: 78_000, result: 77_000 }, seconds: 600 },
    fineTune: { seconds: 1200 },
  } as unknown as Measurement;
  const recipe: Recipe = { method: 'nce', nce, fineTune: { epochs: 30, labels: 0.5 }, seed };
  return { model: 'resnet8', name, seed, recipe, measured, cpu: 'a processor', commit: 'abc1234' };
}

test('kinds of networks are means over seeds, beside the original widths of the same seed', () => {
  const page = ncePage([
    row('original widths', 1, 79, 16, { widths: {} }),
    row('original widths', 2, 80, 16, { widths: {} }),
    row('searched', 1, 80.5, 24, { epochs: 20 }),
    row('searched', 2, 81, 20, { epochs: 20 }),
    row('searched', 1, 80, 18, { epochs: 20, bilevel: false }),
    row('uniform widths', 1, 78.5, 15, { widths: { conv: 15 } }),
    { ...row('uniform widths', 1, 77, 8, { widths: { conv: 8 } }), beside: '{"budgets":{"macs":0.5}}' },
    row('original widths', 1, 68, 16, { widths: {}, inherit: 'none' }),
    row('searched', 1, 69.5, 18, { epochs: 20, inherit: 'none' }),
    row('given widths', 1, 79.5, 8, { widths: { conv: 8 } }),
    { ...row('original widths', 1, 76, 16, { widths: {} }), earlier: 'folded by 64' },
    { ...row('searched', 1, 75, 24, { epochs: 20 }), earlier: 'folded by 64' },
    row('given widths', 1, 78, 12, { widths: { conv: 12 } }),
  ]);
  const lines = page.split('\n').filter((line) => line.startsWith('|'));
  const cells = lines.slice(2).map((line) =>
    line
      .slice(2, -2)
      .split(' | ')
      .map((cell) => cell.trim()),
  );
  assert.deepEqual(
    cells.map(([model, , widths, seeds, , , , , top1, more]) => [model, widths, seeds, top1, more]),
    [
      ['resnet8', 'original widths', '2', '79.50 ± 0.71', ''],
      ['', 'searched', '2', '80.75 ± 0.35', '1.25 ± 0.35'],
      ['', 'searched `{"bilevel":false}`', '1', '80.00', '1.00'],
      ['', 'uniform widths', '1', '78.50', '-0.50'],
      ['', 'uniform widths `{"budgets":{"macs":0.5}}`', '1', '77.00', '-2.00'],
      ['', 'original widths `{"inherit":"none"}`', '1', '68.00', ''],
      ['', 'searched `{"inherit":"none"}`', '1', '69.50', '1.50'],
      ['', 'given widths `{"widths":{"conv":8}}`', '1', '79.50', '0.50'],
      ['', 'given widths `{"widths":{"conv":12}}`', '1', '78.00', '-1.00'],
      ['resnet8', 'original widths', '1', '76.00', ''],
      ['', 'searched', '1', '75.00', '-1.00'],
    ],
  );
  assert.deepEqual(cells[1]!.slice(4, 8), ['24; 20', '12.40', '77.00', '83.00 ± 0.00']);
  assert.deepEqual(cells[1]!.slice(10), ['10', '20']);
  assert.deepEqual(
    cells.map(([, training]) => training).filter((training) => training !== ''),
    ['30 epochs, labels 0.5', '30 epochs, labels 0.5, folded by 64'],
  );
});
