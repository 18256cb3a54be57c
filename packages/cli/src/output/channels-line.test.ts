import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NceReport, Report } from '@tritforge/contracts';
import { channelsLine } from './channels-line.js';
import { describeReport } from './quantize-tables.js';

const width = (original: number, result: number) => ({ layers: ['conv'], original, result, ties: [] });
const epoch = (number: number) => ({
  ...{ epoch: number, seconds: number, trainingLoss: 1, choiceLoss: 1, temperature: 1, macs: 1, parameters: 1 },
  choices: [],
});
const NCE: NceReport = {
  samples: 2048,
  seconds: 1080,
  widths: [width(16, 20), width(16, 18), width(32, 32), width(64, 51)],
  fixed: [],
  macs: { original: 12_501_632, limit: 12_501_632, result: 12_402_688 },
  parameters: { original: 77_706, limit: 77_706, result: 76_990 },
  course: Array.from({ length: 40 }, (_, at) => epoch(at + 1)),
};

test('the search for channels is a line: what changed, what it costs and how long it took', () => {
  assert.equal(
    channelsLine(NCE),
    'channels: 3 of 4 widths changed (2 grew, 1 shrank); 12.4 of 12.5 M multiply-accumulates, 77.0 of 77.7 k parameters; 40 epochs, 18 min 0 s\n',
  );
});

test('costs are in a unit in which the smaller one can be read', () => {
  const cost = (result: number, limit: number) => {
    const costs = { original: limit, limit, result };
    return / changed [^;]*; (.*) multiply/.exec(channelsLine({ ...NCE, macs: costs }))![1];
  };
  assert.equal(cost(999, 1000), '999 of 1000');
  assert.equal(cost(0, 5), '0 of 5');
  assert.equal(cost(1000, 25_000), '1.0 of 25.0 k');
  assert.equal(cost(900_000, 1_200_000), '900.0 of 1200.0 k');
  assert.equal(cost(4_089_284_608, 4_100_000_000), '4.1 of 4.1 G');
});

test('one width and one epoch are one', () => {
  const line = channelsLine({ ...NCE, widths: [width(16, 16)], course: [epoch(1)], seconds: 3 });
  assert.match(line, /^channels: 0 of 1 width changed \(0 grew, 0 shrank\); .*; 1 epoch, 3 s\n$/);
});

test('channels that the recipe names took no search', () => {
  const line = channelsLine({ ...NCE, course: [], seconds: 0 });
  assert.match(line, /; as the recipe names them\n$/);
});

test('a report has the line where there was a search', () => {
  const fineTune = { ...{ samples: 8, heldOutSamples: 1, workers: 1, batch: 8, seconds: 1, bestEpoch: 0 }, curve: [] };
  const report: Report = {
    model: { digest: 'sha256:00', sizeBytes: 4000, parameters: 1000, opset: 17, nodes: 3, macs: null },
    artifacts: [
      {
        ...{ profile: 'portable', fileName: 'model.onnx', externalDataFileName: null, sizeBytes: 1000, digest: '' },
        ...{ opset: 14, irVersion: 8, bitsPerWeight: { quantizedLayers: 2.1, wholeModel: 8 } },
        verification: {
          ...{ engine: 'onnxruntime', samples: 4, encodingMaxAbsError: 0, maxAbsError: 0, operatorsMaxAbsError: null },
          ...{ sqnrDb: 80, passed: true },
        },
      },
    ],
    ...{ baseline: null, accuracy: null, latency: null, layers: [], kept: [], gates: [], warnings: [], fineTune },
    provenance: { engineVersion: '0', onnxruntimeVersion: '1', recipe: {}, seed: 0, datasets: [] },
  };
  assert.doesNotMatch(describeReport(report, 'uniform'), /channels/);
  assert.match(describeReport({ ...report, nce: NCE }, 'nce'), /\nfine-tuning: .*\n\nchannels: 3 of 4 widths changed/);
});
