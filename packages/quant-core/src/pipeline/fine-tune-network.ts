/** The step of a job that trains the quantized network: see train/fine-tune.ts. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type FineTuneReport, type ResolvedFineTune, TritforgeError, type Warning } from '@tritforge/contracts';
import { type Model, type Node, tensorFromFloats } from '../ir/index.js';
import { encodeWeights } from '../layers/encoded-weight.js';
import type { PlannedLayer } from '../layers/layer.js';
import { matches } from '../layers/plan-layers.js';
import { readRows } from '../layers/weight-rows.js';
import type { QuantizeRequest } from '../quantize-request.js';
import type { Runtime } from '../runtime/runtime.js';
import { createTrainingRuntime } from '../runtime/training-runtime.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import { identityOf } from '../train/checkpoint.js';
import { type FineTuned, type FineTuneOptions, fineTune, type Start } from '../train/fine-tune.js';
import type { OptimiserSettings } from '../train/optimisers.js';
import type { FeatureOptions } from '../train/tuning-graphs.js';
import type { Step } from '../train/tuning-loop.js';
import { augmentationOf, lossOf } from './fine-tune-options.js';
import type { JobDataset } from './job-data.js';
import { type Origin, originDigest } from './open-checkpoints.js';
import type { ProgressMeter } from './progress-meter.js';

const CHECKPOINT = 'fine-tuning.training';
/** Progress is counted in parts of the whole, as neither epochs nor minutes are known beforehand. */
const PARTS = 1000;

export interface FineTuneStep extends Origin {
  /** The original network, prepared. */
  readonly teacher: Model;
  readonly scratch: ScratchTensors;
  readonly scratchDir: string;
  readonly runtime: Runtime;
  readonly meter: ProgressMeter;
}

/** The network as the training left it; the one that came in where no epoch was better. */
export interface FineTunedNetwork {
  readonly network: Start;
  readonly report: FineTuneReport;
  readonly warnings: readonly Warning[];
}

/**
 * Trains the network as the recipe says, on the training data or else on the calibration data.
 * @throws TritforgeError CALIBRATION_REQUIRED without data, DATASET_TOO_SMALL, DATASET_SHAPE_MISMATCH, MODEL_NOT_DIFFERENTIABLE, CANCELED
 */
export async function fineTuneNetwork(
  network: Start,
  asked: ResolvedFineTune,
  step: FineTuneStep,
): Promise<FineTunedNetwork> {
  const { data, meter, request } = step;
  const samples = data.training ?? data.calibration;
  if (samples === null) throw nothingToTrainOn();
  meter.begin('fineTune', PARTS, 'parts');
  const scratchDir = await mkdtemp(join(step.scratchDir, 'fine-tune-'));
  try {
    const tuned = await fineTune(network, {
      ...optionsOf(asked, network),
      loss: await lossOf(asked, step.teacher, samples, { runtime: step.runtime, scratchDir }),
      teacher: step.teacher,
      data: samples,
      seed: step.recipe.seed,
      scratchDir,
      checkpoint: await checkpointOf(request, samples, step),
      onStep: (at) => meter.done(Math.floor(at.share * PARTS), PARTS, at.secondsLeft, wordsOf(at)),
      signal: step.context.signal,
      settle: step.context.settle,
    });
    return {
      network: await withResult(network, tuned, step.scratch),
      report: reportOf(tuned, asked),
      warnings: warningsOf(tuned),
    };
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

function wordsOf({ epoch, trainingLoss, heldOutLoss, startLoss }: Step): string {
  const [training, heldOut, start] = [trainingLoss, heldOutLoss, startLoss].map((loss) => loss.toPrecision(3));
  return `epoch ${epoch}, loss ${training}, on samples kept aside ${heldOut}, ${start} at the start`;
}

type Settings = Omit<
  FineTuneOptions,
  'loss' | 'teacher' | 'data' | 'seed' | 'scratchDir' | 'onEpoch' | 'onStep' | 'signal' | 'checkpoint'
>;

function optionsOf(asked: ResolvedFineTune, { prepared, layers }: Start): Settings {
  const { epochs, minutes, batch, workers, learningRate } = asked;
  return {
    patience: asked.patience,
    keep: asked.keep,
    length: epochs === null ? { minutes: minutes! } : { epochs },
    batch,
    threads: workers,
    optimiser: OPTIMISERS[asked.optimiser],
    learningRate,
    schedule: { kind: 'cosine', floor: 0 },
    anchor: asked.anchor,
    augmentation: augmentationOf(asked.augment, prepared),
    features: featuresOf(asked, layers),
    activationQuantizer: asked.activationRanges,
    weightScales: asked.weightScales,
    normalizes: asked.normalize,
  };
}

function featuresOf({ features }: ResolvedFineTune, planned: readonly PlannedLayer[]): FeatureOptions | undefined {
  if (features === null) return undefined;
  const chosen = planned.filter(({ layer }) => features.layers.some((match) => matches(match, layer)));
  return { layers: chosen.map(({ layer }) => layer), weight: features.weight };
}

const OPTIMISERS: Readonly<Record<ResolvedFineTune['optimiser'], OptimiserSettings>> = {
  adamw: { kind: 'adamw', betas: [0.9, 0.999], epsilon: 1e-8 },
  sgd: { kind: 'sgd', momentum: 0.9, nesterov: true },
};

/** What an attempt at this training may go on from. */
async function checkpointOf({ checkpointDir, training }: QuantizeRequest, samples: JobDataset, step: FineTuneStep) {
  if (checkpointDir === undefined) return undefined;
  await mkdir(checkpointDir, { recursive: true });
  const engine = createTrainingRuntime().engine;
  const identity = identityOf([await originDigest(step), engine, samples.digest, training?.preprocess]);
  return { path: join(checkpointDir, CHECKPOINT), identity };
}

async function withResult(
  network: Start,
  { codes, biases, scales }: FineTuned,
  scratch: ScratchTensors,
): Promise<Start> {
  const weights = new Map(network.weights);
  for (const { layer } of network.layers) {
    const own = codes.get(layer.weight);
    if (own !== undefined) weights.set(layer.weight, await encodeWeights(own, await readRows(layer), layer, scratch));
  }
  const trained = [...scales].map(([name, scale]) => [name, { ...network.scales.get(name)!, scale }] as const);
  return {
    ...network,
    weights,
    layers: network.layers.map((planned) => withBias(planned, biases)),
    scales: new Map([...network.scales, ...trained]),
  };
}

function withBias(planned: PlannedLayer, biases: ReadonlyMap<Node, Float32Array>): PlannedLayer {
  const values = biases.get(planned.layer.node);
  if (values === undefined) return planned;
  return { ...planned, layer: { ...planned.layer, bias: tensorFromFloats([values.length], values) } };
}

function reportOf({ curve, samples, heldOutSamples, batch }: FineTuned, { workers }: ResolvedFineTune): FineTuneReport {
  return {
    samples,
    heldOutSamples,
    workers,
    batch,
    seconds: curve.at(-1)!.seconds,
    bestEpoch: curve.findLast(({ isBest }) => isBest)!.epoch,
    curve: curve.map(({ isBest: _, ...point }) => point),
  };
}

function warningsOf({ divergedAt }: FineTuned): Warning[] {
  if (divergedAt === null) return [];
  const message = `The training left the numbers in epoch ${divergedAt} and ended there; try a lower learning rate.`;
  return [{ code: 'TRAINING_DIVERGED', message, node: null }];
}

function nothingToTrainOn(): TritforgeError {
  return new TritforgeError('CALIBRATION_REQUIRED', 'recipe.fineTune needs samples to train on, and the job has none', {
    field: 'datasets.training',
    remediation: 'Send a training dataset or a calibration dataset; labels are not needed.',
  });
}
