/** The step of a job that gives a network other numbers of channels: searched (nce/search/search-widths.ts), or as the recipe has them. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type NceReport, type ResolvedFineTune, type ResolvedNce, TritforgeError } from '@tritforge/contracts';
import type { ActivationScale } from '../artifact/build-graph.js';
import type { Model } from '../ir/index.js';
import type { Budget, Choices } from '../nce/budget-loss.js';
import { startCandidates } from '../nce/candidates.js';
import { type ControlSpace, controlWidths } from '../nce/controls.js';
import { deriveNetwork } from '../nce/derive.js';
import { namedWidths } from '../nce/named-widths.js';
import type { Refined } from '../nce/refine-widths.js';
import type { Searched, SearchOptions, SearchStep } from '../nce/search/search-options.js';
import { searchWidths } from '../nce/search/search-widths.js';
import { type FixedWidth, type SearchSpace, searchableWidths, searchSpace } from '../nce/search-space.js';
import { channelsAt, type Settled, settleWidths } from '../nce/settle-widths.js';
import { type ChannelOrders, channelOrders, fromModel, fromNothing, repeated } from '../nce/start-weights.js';
import { inheritedNetwork } from '../nce/supernet/inherit.js';
import type { SupernetBase } from '../nce/supernet/supernet-graph.js';
import type { ChannelCounts } from '../nce/widths/width-graph.js';
import type { WidthId } from '../nce/widths/width-table.js';
import type { Runtime } from '../runtime/runtime.js';
import { createTrainingRuntime } from '../runtime/training-runtime.js';
import { mulberry32 } from '../seeded-random.js';
import { identityOf } from '../train/checkpoint.js';
import { storeTuningSamples, type TuningSamples } from '../train/tuning-samples.js';
import { type ChannelBudget, channelBudgets } from './channel-budgets.js';
import { channelsReport, type SettledChannels } from './channels-report.js';
import { augmentationOf, lossOf } from './fine-tune-options.js';
import type { JobDataset } from './job-data.js';
import { type Origin, originDigest } from './open-checkpoints.js';
import type { ProgressMeter } from './progress-meter.js';
import { refineChannels } from './refine-channels.js';
import type { Control } from './run-controls.js';

const CHECKPOINT = 'channels.training';
const PARTS = 1000;
/** Of Gumbel noise. Source: Dong and Yang 2019 (TAS), §4.1. */
const TEMPERATURE = { from: 10, to: 0.1 };
/** Of logits. Source: the same. */
const LOGIT_DECAY = 1e-3;

export interface SearchChannelsStep extends Origin {
  readonly nce: ResolvedNce;
  /** What follows the search: its batches, threads, loss, variations of samples and quantizers are those of the search. */
  readonly fineTune: ResolvedFineTune;
  readonly scratchDir: string;
  readonly runtime: Runtime;
  readonly meter: ProgressMeter;
  /** Layers and activations of a network as the recipe has them; the ranges of activations are those that are given, or measured. */
  readonly plan: (model: Model, scales?: ReadonlyMap<string, ActivationScale>) => Promise<SupernetBase>;
  /** Bytes of the first artifact of a network that was planned. */
  readonly sizeOf: (network: SupernetBase) => Promise<number>;
}

export interface SearchedNetwork {
  /** In floating point, with the weights that its training begins with. */
  readonly model: Model;
  readonly report: NceReport;
  readonly controls: readonly Control[];
}

/** A network that may be given other widths. */
interface Open {
  readonly prepared: Model;
  readonly space: SearchSpace;
  readonly searched: readonly WidthId[];
  /** By what they matter. */
  readonly orders: ChannelOrders;
  readonly baseOf: Searched['baseOf'];
  readonly sizeAt: (counts: ChannelCounts) => Promise<number>;
  readonly budgets: readonly ChannelBudget[];
}

/** Where a search ended. */
interface Found extends Pick<SettledChannels, 'chosen' | 'bytes' | 'refined' | 'samples' | 'course'> {
  readonly model: Model;
}

/**
 * @param prepared stays as it is
 * @throws TritforgeError CALIBRATION_REQUIRED, MODEL_NOT_SEARCHABLE where no width can be chosen, RECIPE_INVALID for widths that the
 *   network cannot have and budgets that nothing keeps to, MODEL_NOT_DIFFERENTIABLE, DATASET_TOO_SMALL, DATASET_SHAPE_MISMATCH, CANCELED
 */
export async function searchChannels(prepared: Model, step: SearchChannelsStep): Promise<SearchedNetwork> {
  const { nce, meter, plan, sizeOf, recipe } = step;
  meter.begin('search', PARTS, 'parts');
  const space = await searchSpace(prepared);
  const template = await plan(space.template);
  const { searched, fixed } = searchableWidths(space, template.layers);
  if (searched.length === 0) throw nothingToSearch(fixed);
  const orders = await channelOrders(space);
  // Candidates take the first channels, so those that matter most come first.
  const baseOf: Searched['baseOf'] = async (counts) =>
    nce.start === 'none'
      ? plan(await fromNothing(space, counts, recipe.seed))
      : plan(await deriveNetwork(space.template, space.graph, repeated(orders, counts)), template.scales);
  const sizeAt = async (counts: ChannelCounts) => sizeOf(await baseOf(counts));
  const budgets = await channelBudgets(nce.budgets, { prepared, space, template, searched, sizeAt });
  const settled = { space, fixed, budgets };
  if (nce.widths !== null) {
    const chosen = namedWidths(nce.widths, { graph: space.graph, searched, fixed });
    const model = await (nce.inherit === 'none'
      ? fromNothing(space, chosen, recipe.seed)
      : fromModel(space, orders, chosen));
    return {
      model,
      report: channelsReport({ ...settled, chosen, bytes: null, refined: null, samples: 0, course: [] }),
      controls: [],
    };
  }
  const { model, ...found } = await search({ prepared, space, searched, orders, baseOf, sizeAt, budgets }, step);
  const report = channelsReport({ ...settled, ...found });
  return {
    model,
    report,
    controls: controlsOf(report, { graph: space.graph, searched, macs: budgets[0]!.terms }, step),
  };
}

/** @param space with the terms of multiply-accumulates */
function controlsOf({ macs }: NceReport, space: ControlSpace, { nce, recipe }: SearchChannelsStep): Control[] {
  return nce.controls.map((name) => {
    const widths = controlWidths(name, space, macs.result, mulberry32(recipe.seed));
    const named = [...widths].map(([id, channels]) => [space.graph.widthOf(id).layers[0]!, channels] as const);
    return { name, widths: Object.fromEntries(named) };
  });
}

async function search(open: Open, step: SearchChannelsStep): Promise<Found> {
  const { nce, fineTune, data, recipe, context } = step;
  const { space, searched, orders, baseOf, budgets } = open;
  // Larger candidates alone join, so that what does not fit now never will.
  const start = new Map(searched.map((id) => [id, startCandidates(space.graph.widthOf(id), () => 0, nce.candidates)]));
  settleWidths(start, budgets, space.graph);
  const samples = data.training ?? data.calibration;
  if (samples === null) throw nothingToSearchOn();
  const scratchDir = await mkdtemp(join(step.scratchDir, 'channels-'));
  try {
    const { batch, workers: threads } = fineTune;
    const loss = await lossOf(fineTune, open.prepared, samples, { runtime: step.runtime, scratchDir });
    const labels = loss.kind === 'mse' ? null : loss.labels;
    const { signal } = context;
    const stored = await storeTuningSamples({ data: samples, labels, batch, threads, scratchDir, signal });
    const options = await optionsOf(open, { data: samples, stored, loss, scratchDir }, step);
    const state = await searchWidths({ graph: space.graph, searched, baseOf }, options);
    try {
      const settle = async (within: readonly Budget[]) => {
        const likeliest = settleWidths(state.choices, within, space.graph, nce.odds);
        const ended = { state, options, graph: space.graph, meter: step.meter };
        return nce.refine ? refineChannels(likeliest, within, ended) : { widths: likeliest };
      };
      const { positions, chosen, bytes, refined } = await settledWithin(open, state.choices, settle);
      const models = {
        supernet: () => inheritedNetwork(state.supernet, state, { positions, channels: chosen }),
        model: () => fromModel(space, orders, chosen),
        none: () => fromNothing(space, chosen, recipe.seed),
      };
      const model = await models[nce.inherit]();
      return { model, chosen, bytes, refined, samples: stored.fitting.length, course: state.course };
    } finally {
      await state.supernet.close();
    }
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

/** Widths within the budgets; a file that turns out larger than it was expected to be gets less room. */
async function settledWithin(
  { budgets, sizeAt }: Open,
  choices: Choices,
  settle: (within: readonly Budget[]) => Promise<Refined | { readonly widths: Settled }>,
) {
  let excess = 0;
  for (;;) {
    const within = budgets.map((budget) =>
      budget.name === 'bytes' ? { ...budget, limit: budget.limit - excess } : budget,
    );
    const { widths: positions, ...refined } = await settle(within);
    const chosen = channelsAt(positions, choices);
    const settled = { positions, chosen, refined: 'measured' in refined ? refined : null };
    const allowed = budgets.find(({ name }) => name === 'bytes')?.allowed;
    if (allowed === undefined) return { ...settled, bytes: null };
    const bytes = await sizeAt(chosen);
    if (bytes <= allowed) return { ...settled, bytes };
    excess += bytes - allowed;
  }
}

/** What a search begins with. */
interface Prepared extends Pick<SearchOptions, 'loss' | 'scratchDir'> {
  readonly data: JobDataset;
  readonly stored: TuningSamples;
}

async function optionsOf(
  { prepared, budgets }: Open,
  { data, stored, loss, scratchDir }: Prepared,
  step: SearchChannelsStep,
): Promise<SearchOptions> {
  const { nce, fineTune, recipe, meter } = step;
  const { signal, settle } = step.context;
  return {
    teacher: prepared,
    loss,
    activationQuantizer: fineTune.activationRanges,
    weightScales: fineTune.weightScales === 'learned' ? 'least-squares' : fineTune.weightScales,
    mixing: nce.mixing,
    threads: fineTune.workers,
    augmentation: augmentationOf(fineTune.augment, prepared),
    seed: recipe.seed,
    scratchDir,
    samples: stored,
    length: nce.epochs === null ? { minutes: nce.minutes! } : { epochs: nce.epochs },
    learningRate: nce.learningRate,
    logits: { learningRate: nce.choiceRate, decay: LOGIT_DECAY },
    temperature: TEMPERATURE,
    bilevel: nce.bilevel,
    warmUp: nce.warmUp,
    shares: nce.candidates,
    expansion: nce.expansion,
    budgets,
    budgetWeight: nce.budgetWeight,
    checkpoint: await checkpointOf(data, step),
    onStep: (at) => meter.done(Math.floor(at.share * PARTS), PARTS, at.secondsLeft, wordsOf(at)),
    signal,
    settle,
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
  return new TritforgeError(
    'MODEL_NOT_SEARCHABLE',
    `No number of channels can be chosen: ${reasons || 'there are no layers'}`,
    {
      field: 'model',
      remediation: 'Choose the method uniform, or a convolutional network whose layers have weights of their own.',
    },
  );
}
