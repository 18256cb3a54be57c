/** The step of a job that finds the number of channels of each layer: see nce/search/search-widths.ts. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type NceLimit, type NceReport, type ResolvedFineTune, type ResolvedNce, TritforgeError } from '@tritforge/contracts';
import type { ActivationScale } from '../artifact/build-graph.js';
import type { Model } from '../ir/index.js';
import type { Budget } from '../nce/budget-loss.js';
import { costOf, networkCost } from '../nce/cost.js';
import { deriveNetwork } from '../nce/derive.js';
import type { Searched, SearchEpoch, SearchStep } from '../nce/search/search-options.js';
import type { SearchState } from '../nce/search/search-state.js';
import { searchWidths } from '../nce/search/search-widths.js';
import { type FixedWidth, type SearchSpace, searchableWidths, searchSpace } from '../nce/search-space.js';
import { settleWidths } from '../nce/settle-widths.js';
import { type Chosen, inheritedNetwork } from '../nce/supernet/inherit.js';
import type { SupernetBase } from '../nce/supernet/supernet-graph.js';
import { widthGraph } from '../nce/widths/width-graph.js';
import type { WidthId } from '../nce/widths/width-table.js';
import type { Runtime } from '../runtime/runtime.js';
import { createTrainingRuntime } from '../runtime/training-runtime.js';
import { identityOf } from '../train/checkpoint.js';
import { storeTuningSamples } from '../train/tuning-samples.js';
import { augmentationOf, lossOf } from './fine-tune-options.js';
import type { JobDataset } from './job-data.js';
import { type Origin, originDigest } from './open-checkpoints.js';
import type { ProgressMeter } from './progress-meter.js';

const CHECKPOINT = 'channels.training';
const PARTS = 1000;
/** Of Gumbel noise. Source: Dong and Yang 2019 (TAS), §4.1. */
const TEMPERATURE = { from: 10, to: 0.1 };
/** Of logits. Source: the same. */
const LOGIT_DECAY = 1e-3;

export interface SearchChannelsStep extends Origin {
  readonly scratchDir: string;
  readonly runtime: Runtime;
  readonly meter: ProgressMeter;
  /** Layers and activations of a network as the recipe has them; the ranges of activations are those that are given, or measured. */
  readonly plan: (model: Model, scales?: ReadonlyMap<string, ActivationScale>) => Promise<SupernetBase>;
}

export interface SearchedNetwork {
  /** Float weights that the search has trained. */
  readonly model: Model;
  readonly report: NceReport;
}

/**
 * @param prepared stays as it is
 * @throws TritforgeError CALIBRATION_REQUIRED, MODEL_NOT_SEARCHABLE where no width can be chosen, RECIPE_INVALID for budgets that nothing
 *   keeps to, MODEL_NOT_DIFFERENTIABLE, DATASET_TOO_SMALL, DATASET_SHAPE_MISMATCH, CANCELED
 */
export async function searchChannels(
  prepared: Model,
  { nce, fineTune }: { readonly nce: ResolvedNce; readonly fineTune: ResolvedFineTune },
  step: SearchChannelsStep,
): Promise<SearchedNetwork> {
  const { data, meter, plan } = step;
  const samples = data.training ?? data.calibration;
  if (samples === null) throw nothingToSearchOn();
  meter.begin('search', PARTS, 'parts');
  const space = await searchSpace(prepared);
  const template = await plan(space.template);
  const { searched, fixed } = searchableWidths(space, template.layers);
  if (searched.length === 0) throw nothingToSearch(fixed);
  const baseOf: Searched['baseOf'] = async (channels) =>
    plan(await deriveNetwork(space.template, space.graph, sourcesOf(channels, space)), template.scales);
  const costs = networkCost(space.template, space.graph);
  const original = await originalCosts(prepared);
  const limits = {
    macs: limitOf(nce.budgets.macs, original.macs),
    parameters: limitOf(nce.budgets.parameters, original.parameters),
  };
  const budgets: Budget[] = [
    { terms: costs.macs, limit: limits.macs },
    { terms: costs.parameters, limit: limits.parameters },
  ];
  const scratchDir = await mkdtemp(join(step.scratchDir, 'channels-'));
  try {
    const { batch, workers: threads } = fineTune;
    const { signal, settle } = step.context;
    const stored = await storeTuningSamples({ data: samples, batch, threads, scratchDir, signal });
    const state = await searchWidths(
      { graph: space.graph, searched, baseOf },
      {
        teacher: prepared,
        loss: await lossOf(fineTune, prepared, samples, { runtime: step.runtime, scratchDir }),
        activationQuantizer: fineTune.activationRanges,
        weightScales: fineTune.weightScales === 'learned' ? 'least-squares' : fineTune.weightScales,
        threads,
        augmentation: augmentationOf(fineTune.augment, prepared),
        seed: step.recipe.seed,
        scratchDir,
        samples: stored,
        length: nce.epochs === null ? { minutes: nce.minutes! } : { epochs: nce.epochs },
        learningRate: nce.learningRate,
        logits: { learningRate: nce.choiceRate, decay: LOGIT_DECAY },
        temperature: TEMPERATURE,
        warmUp: nce.warmUp,
        shares: nce.candidates,
        expansion: nce.expansion,
        budgets,
        budgetWeight: nce.budgetWeight,
        checkpoint: await checkpointOf(samples, step),
        onStep: (at) => meter.done(Math.floor(at.share * PARTS), PARTS, at.secondsLeft, wordsOf(at)),
        signal,
        settle,
      },
    );
    try {
      const chosen = chosenOf(state, budgets, space);
      const model = await inheritedNetwork(state.supernet, state, chosen);
      const report = reportOf({ state, chosen, space, fixed, original, limits, samples: stored.fitting.length });
      return { model, report };
    } finally {
      await state.supernet.close();
    }
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

function sourcesOf(channels: ReadonlyMap<WidthId, number>, { graph }: SearchSpace) {
  return new Map(
    [...channels].map(([id, count]) => {
      const had = graph.widthOf(id).channels;
      return [id, Array.from({ length: count }, (_, i) => i % had)];
    }),
  );
}

interface Costs {
  readonly macs: number;
  readonly parameters: number;
}

/** Of the network as it was uploaded, but for its normalizations, which are part of other layers by now. */
async function originalCosts(prepared: Model): Promise<Costs> {
  const graph = await widthGraph(prepared);
  const { macs, parameters } = networkCost(prepared, graph);
  const asItIs = (id: WidthId) => graph.widthOf(id).channels;
  return { macs: costOf(macs, graph, asItIs), parameters: costOf(parameters, graph, asItIs) };
}

function limitOf(limit: NceLimit, original: number): number {
  return typeof limit === 'number' ? Math.floor(limit * original) : limit.atMost;
}

function chosenOf(state: SearchState, budgets: readonly Budget[], { graph }: SearchSpace): Chosen {
  const settled = settleWidths(state.choices, budgets, graph);
  return new Map(
    [...settled].map(([id, position]) => [id, { position, channels: state.choices.get(id)!.channels[position]! }]),
  );
}

function reportOf(found: {
  readonly state: SearchState;
  readonly chosen: Chosen;
  readonly space: SearchSpace;
  readonly fixed: readonly FixedWidth[];
  readonly original: Costs;
  readonly limits: Costs;
  readonly samples: number;
}): NceReport {
  const { state, chosen, space, fixed, original, limits, samples } = found;
  const { graph, template } = space;
  const { macs, parameters } = networkCost(template, graph);
  const widthOf = (id: WidthId) => chosen.get(graph.widthOf(id).id)?.channels ?? graph.widthOf(id).channels;
  const cost = (terms: typeof macs, key: keyof Costs) => ({
    original: original[key],
    limit: limits[key],
    result: costOf(terms, graph, widthOf),
  });
  return {
    samples,
    seconds: state.course.at(-1)?.seconds ?? 0,
    widths: [...chosen].map(([id, { channels }]) => {
      const { layers, ties, channels: before } = graph.widthOf(id);
      return { layers: [...layers], original: before, result: channels, ties: [...ties] };
    }),
    fixed: fixed.map(({ width: { layers, channels }, reasons }) => ({
      layers: [...layers],
      channels,
      reasons: [...reasons],
    })),
    macs: cost(macs, 'macs'),
    parameters: cost(parameters, 'parameters'),
    course: state.course.map(epochReport),
  };
}

function epochReport({ epoch, seconds, weightLoss, choiceLoss, temperature, costs, choices }: SearchEpoch) {
  const [macs, parameters] = costs as [number, number];
  return {
    epoch,
    seconds,
    trainingLoss: weightLoss,
    choiceLoss,
    temperature,
    macs,
    parameters,
    choices: choices.map(({ channels, probabilities }) => ({
      channels: [...channels],
      probabilities: [...probabilities],
    })),
  };
}

function wordsOf({ epoch, loss, last }: SearchStep): string {
  const words = `epoch ${epoch}, loss ${loss.toPrecision(3)}`;
  if (last === null) return words;
  const widths = last.choices.map(
    ({ channels, probabilities }) => channels[probabilities.indexOf(Math.max(...probabilities))],
  );
  return `${words}, likeliest widths ${widths.join(' ')}, ${(100 * last.costs[0]!).toFixed(0)} % of the multiply-accumulates allowed`;
}

async function checkpointOf(samples: JobDataset, step: SearchChannelsStep) {
  const { checkpointDir, training } = step.request;
  if (checkpointDir === undefined) return undefined;
  await mkdir(checkpointDir, { recursive: true });
  const engine = createTrainingRuntime().engine;
  const identity = identityOf(['channels', await originDigest(step), engine, samples.digest, training?.preprocess]);
  return { path: join(checkpointDir, CHECKPOINT), identity };
}

function nothingToSearchOn(): TritforgeError {
  return new TritforgeError('CALIBRATION_REQUIRED', 'The method nce needs samples to search on, and the job has none', {
    field: 'datasets.training',
    remediation: 'Send a training dataset or a calibration dataset; labels are not needed.',
  });
}

function nothingToSearch(fixed: readonly FixedWidth[]): TritforgeError {
  const told = fixed.flatMap(({ reasons }) => reasons).slice(0, 3);
  const reasons = told.map(({ node, why }) => `${node} ${why}`).join('; ');
  return new TritforgeError('MODEL_NOT_SEARCHABLE', `No number of channels can be chosen: ${reasons || 'there are no layers'}`, {
    field: 'model',
    remediation: 'Choose the method uniform, or a convolutional network whose layers have weights of their own.',
  });
}
