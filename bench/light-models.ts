/**
 * Quantizes nine published topologies, with random weights, and writes a table of size, time and memory.
 *
 *     npm run bench -- light-models [--only resnet50] [--out FILE.md]
 *
 * N = 64; weights only, and with 8-bit activations calibrated on two samples of noise. Each run has a process of its own,
 * which also compares its report with the tensors of the artifact. The weights of VGG-19 need some 3 GB in the folder for
 * temporary files.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  LIGHT_MODELS,
  materialize,
  sharedData,
  skipWithout,
  unpackModels,
  writeNoise,
} from '@tritforge/quant-core/testing';
import type { Outcome } from './light-models/quantize-one.js';
import { markdownTable } from './shared/markdown-table.js';
import { measureInProcess } from './shared/measure-in-process.js';

const SEED = 20170511;
const NOISE_SAMPLES = 2;
const CHILD = fileURLToPath(new URL('./light-models/quantize-one.js', import.meta.url));

const HEADER = [
  'model',
  'activations',
  'layers',
  'fp32, MB',
  'int8, MB',
  'N = 64, MB',
  'bits per weight',
  'same, whole file',
  'verification, dB',
  'fp32, ms',
  'int8, ms',
  'N = 64, ms',
  'time, s',
  'peak RSS, MB',
];

const { values: options } = parseArgs({ options: { only: { type: 'string', default: '' }, out: { type: 'string' } } });
const folder = await mkdtemp(join(tmpdir(), 'tritforge-light-models-'));
try {
  const text = page(await measureAll(folder));
  console.log(text);
  if (options.out) await writeFile(options.out, text);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measureAll(folder: string): Promise<string[][]> {
  const missing = skipWithout(LIGHT_MODELS);
  if (missing !== false) throw new Error(missing);
  const rows: string[][] = [];
  for (const lightPath of await unpackModels(sharedData(LIGHT_MODELS), folder)) {
    if (!basename(lightPath).includes(options.only)) continue;
    const modelPath = await materialize(lightPath, folder, SEED);
    const noisePath = join(folder, 'noise.npz');
    await writeNoise(modelPath, noisePath, NOISE_SAMPLES);
    for (const calibration of [null, noisePath]) {
      rows.push(row(basename(modelPath, '.onnx'), calibration, await quantizeInChild(modelPath, calibration)));
      process.stderr.write(`${rows.at(-1)!.join('  ')}\n`);
    }
    await rm(modelPath);
  }
  return rows;
}

async function quantizeInChild(modelPath: string, calibration: string | null): Promise<Outcome> {
  const work = await mkdtemp(join(folder, 'run-'));
  try {
    return await measureInProcess<Outcome>(CHILD, modelPath, work, ...(calibration === null ? [] : [calibration]));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function row(name: string, calibration: string | null, { report, seconds, peakRssBytes }: Outcome): string[] {
  const { model, artifacts, baseline, latency } = report;
  const artifact = artifacts[0]!;
  const megabytes = (bytes: number | undefined) => (bytes === undefined ? '–' : (bytes / 1e6).toFixed(1));
  return [
    name,
    calibration === null ? 'fp32' : '8 bit',
    String(report.layers.length),
    megabytes(model.sizeBytes),
    megabytes(baseline?.sizeBytes),
    megabytes(artifact.sizeBytes),
    artifact.bitsPerWeight.quantizedLayers?.toFixed(2) ?? '–',
    artifact.bitsPerWeight.wholeModel.toFixed(2),
    artifact.verification.sqnrDb?.toFixed(0) ?? '–',
    ...[latency?.originalMs, latency?.int8Ms, latency?.quantizedMs].map((ms) => ms?.toFixed(1) ?? '–'),
    seconds.toFixed(1),
    (peakRssBytes / 1e6).toFixed(0),
  ];
}

function page(rows: readonly string[][]): string {
  return `# Published topologies with random weights

\`npm run bench -- light-models\` on ${cpus()[0]?.model ?? 'an unknown CPU'}, one thread, Node ${process.version}, commit ${commit()}.
${cpus().length} cores with a load of ${loadavg()[2]!.toFixed(1)} over the last quarter of an hour: above ${cpus().length}, times and latency are too long.
FGQ with N = 64, first and last layer and depthwise convolutions int8. Sizes in 10⁶ bytes. Bits per weight count the stored
codes and scales of quantized layers, then the whole file. Verification compares the artifact in onnxruntime with the
engine's own reference. Latency: medians, interleaved in one run. Time is that of one whole job, measurement of latency
included; peak RSS is that of its process. Random weights have no accuracy to lose, so none is given.

${markdownTable(HEADER, rows)}
`;
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
