import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inspectModelInChild } from '@tritforge/quant-core/process';
import { compareOnSet } from '../accuracy/compare-on-set.js';
import type { SetAccuracy } from '../accuracy/rows.js';
import type { RealModel } from '../shared-data/datasets.js';
import { readPreprocess } from '../shared-data/job-request.js';
import { exportCalibration } from './export-calibration.js';
import type { PeerOutcome, PeerRow } from './rows.js';
import type { PeerSetting } from './settings.js';

export interface PeerOptions {
  /** A Python with accuracy-requirements.txt installed. */
  readonly python: string;
  readonly maxCalibrationSamples: number;
  /** An existing folder. */
  readonly folder: string;
  readonly onRow: (row: PeerRow) => Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('../../peers/quantize.py', import.meta.url));
const LIMITS = { memoryBytes: 2 ** 32, wallClockMs: 600_000 };
const MAX_OUTPUT_BYTES = 2 ** 26;

/** Quantizes a model with each setting and measures what comes out as our own artifacts are measured. */
export async function runPeers(model: RealModel, settings: readonly PeerSetting[], options: PeerOptions) {
  const { folder, maxCalibrationSamples, onRow } = options;
  const calibration = path.join(folder, 'calibration.npz');
  const calibrationSamples = await exportCalibration(model, maxCalibrationSamples, calibration, folder);
  const { parameters } = await inspectModelInChild(model.modelPath, { limits: LIMITS });
  for (const setting of settings) {
    const output = path.join(folder, 'peer.onnx');
    const row = { model: model.name, setting, calibrationSamples };
    try {
      const outcome = await quantizeByPeer(options.python, { model: model.modelPath, output, calibration, ...setting });
      const { versions, layers, ofLayers } = outcome;
      if (layers === 0 && outcome.keptAsFloats === 0) {
        const problem = `not applicable: the tool quantizes MatMul only, and none of the ${ofLayers} layers is one`;
        await onRow({ ...row, versions, result: null, problem });
        continue;
      }
      const bitsPerWeight = storedBits(setting, outcome);
      const result = { ...(await measurePeer(model, output, outcome, folder)), bitsPerWeight, layers, ofLayers };
      const wholeModelBits = (8 * result.sizeBytes) / parameters;
      await onRow({ ...row, versions, result: { ...result, wholeModelBits }, problem: null });
    } catch (error) {
      await onRow({ ...row, versions: null, result: null, problem: lastLine(error as Error) });
    }
  }
}

async function quantizeByPeer(
  python: string,
  request: PeerSetting & { readonly model: string; readonly output: string; readonly calibration: string },
): Promise<PeerOutcome> {
  const { stdout } = await promisify(execFile)(python, [SCRIPT, JSON.stringify(request)], {
    maxBuffer: MAX_OUTPUT_BYTES,
    cwd: path.dirname(request.output),
  });
  return JSON.parse(stdout) as PeerOutcome;
}

async function measurePeer(model: RealModel, artifactPath: string, outcome: PeerOutcome, scratchDir: string) {
  const preprocess = await readPreprocess(model);
  const { modelPath: originalPath, metric } = model;
  const accuracies: SetAccuracy[] = [];
  for (const set of [model.evaluation, ...model.furtherEvaluations]) {
    accuracies.push(await compareOnSet({ originalPath, artifactPath, set, preprocess, metric, scratchDir }));
  }
  return {
    accuracies,
    sizeBytes: (await stat(artifactPath)).size,
    keptAsFloats: outcome.keptAsFloats,
    seconds: outcome.seconds,
    switches: outcome.switches ?? [],
  };
}

/** Bits per weight of the quantized layers; where they are stored as floats, what codes, scales and zero points would take. */
function storedBits(setting: PeerSetting, { layers, weights, bytes }: PeerOutcome): number {
  if (setting.tool === 'nbits' && layers === 0) return setting.bits + (32 + setting.bits) / setting.block;
  return (8 * bytes) / weights;
}

/** What a tool said last, which in Python is the error. */
function lastLine(error: Error & { stderr?: string }): string {
  const lines = (error.stderr ?? error.message).trim().split('\n');
  return `failed: ${lines.at(-1)}`;
}
