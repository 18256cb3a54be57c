import type { Phase, ResolvedFineTune, ResolvedNce, ResolvedRecipe } from '@tritforge/contracts';
import type { ModelInspection } from '../inspect.js';
import { SENSITIVITY_NETWORKS } from '../search/search-progress.js';
import type { JobData } from './job-data.js';
import type { PhaseCosts } from './progress-meter.js';

/** Rough throughputs of one core; only their ratios matter, for the share of all work that a phase is. */
const MACS_PER_SECOND = 20e9;
const WEIGHTS_PER_SECOND = 5e6;
/** Where layers are solved by their inputs, on one thread, and how often each sample runs through the two networks for it. */
const SOLVED_WEIGHTS_PER_SECOND = 1e5;
const SOLVING_RUNS = 4;
const BYTES_PER_SECOND = 200e6;
const SECONDS_PER_RUN = 3e-4;
const DEFAULT_CALIBRATION_SAMPLES = 512;
const LATENCY_SECONDS = 3;

/** What each phase is expected to cost, in seconds of some machine. */
export function expectedCosts(
  { parameters, macs }: ModelInspection,
  data: JobData,
  { weights: { solver }, sensitivity, search, nce, fineTune }: ResolvedRecipe,
  solverThreads: number,
  maxCalibrationSamples = DEFAULT_CALIBRATION_SAMPLES,
): PhaseCosts {
  const run = SECONDS_PER_RUN + (macs ?? parameters) / MACS_PER_SECOND;
  const loading = (4 * parameters) / BYTES_PER_SECOND;
  const calibrationSamples = Math.min(data.calibration?.dataset.sampleCount ?? 0, maxCalibrationSamples);
  const evaluationSamples = data.evaluation?.dataset.sampleCount ?? 0;
  const isSolved = solver !== 'exact' && data.calibration !== null;
  const nearest = parameters / WEIGHTS_PER_SECOND;
  const quantizing = isSolved
    ? SOLVING_RUNS * calibrationSamples * run + parameters / (solverThreads * SOLVED_WEIGHTS_PER_SECOND)
    : nearest;
  const network = quantizing + 4 * loading + evaluationSamples * run;
  const searchCost = nce === null ? 0 : trainingCost({ ...nce, workers: fineTune!.workers }, run, data);
  const training = fineTune === null ? 0 : trainingCost(fineTune, run, data);
  return new Map<Phase, number>([
    ['read', loading / 4],
    ['prepare', loading],
    ['search', searchCost + (sensitivity ? (SENSITIVITY_NETWORKS + (search?.evaluations ?? 0)) * network : 0)],
    ['calibrate', loading + calibrationSamples * run],
    ['quantize', quantizing],
    ['fineTune', training],
    ['encode', loading],
    ['verify', 4 * loading + 60 * run],
    ['controls', (nce?.controls.length ?? 0) * (network + training)],
    ['measure', 3 * loading + LATENCY_SECONDS + 3 * evaluationSamples * run],
  ]);
}

/** A step costs about three runs: forward, and backward to inputs and to weights. */
function trainingCost(
  { epochs, minutes, workers }: Pick<ResolvedFineTune & ResolvedNce, 'epochs' | 'minutes' | 'workers'>,
  run: number,
  data: JobData,
): number {
  if (epochs === null) return 60 * minutes!;
  return (epochs * ((data.training ?? data.calibration)?.dataset.sampleCount ?? 0) * 3 * run) / workers;
}
