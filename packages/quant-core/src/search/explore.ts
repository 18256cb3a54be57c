/**
 * The step that measures before it quantizes: what each layer costs at each precision and, for the method auto, which network to
 * make. What comes out is a recipe that needs no search.
 *
 *   sensitivities (sensitivity.ts)  →  search over whole networks (search-precisions.ts)  →  recipe (choice-recipe.ts)
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactReport, FrontierPoint, Recipe, ResolvedRecipe, Search, Warning } from '@tritforge/contracts';
import { resolveRecipe, TritforgeError } from '@tritforge/contracts';
import { artifactFileName } from '../artifact/write-artifacts.js';
import type { Model, Node } from '../ir/index.js';
import type { Layer, PlannedLayer } from '../layers/layer.js';
import { planLayers } from '../layers/plan-layers.js';
import { type Damage, withSecondPlanes } from '../layers/second-planes.js';
import type { JobData, JobDataset } from '../pipeline/job-data.js';
import type { ProgressMeter } from '../pipeline/progress-meter.js';
import type { Results } from '../pipeline/report.js';
import type { QuantizeContext, QuantizeRequest } from '../quantize-request.js';
import type { Feeds } from '../runtime/runtime.js';
import type { InputMoments } from '../solve/index.js';
import { assignmentOf, recipeOf, singleRecipe } from './choice-recipe.js';
import { expectedOptions } from './expected-damage.js';
import { type SplitDataset, splitDataset } from './held-out.js';
import { costOf, type SearchLimits } from './limits.js';
import { type MeasuredNetwork, NetworkMeasurer } from './network-measurer.js';
import { findUnits, INT8, kindOf, precisionName, SINGLE_PRECISIONS, type Unit } from './precisions.js';
import { damageOf, type InputMeans } from './recommend.js';
import { bestPoint, type MeasuredPoint, paretoPoints, searchPrecisions } from './search-precisions.js';
import { SearchProgress } from './search-progress.js';
import { measureSensitivities, type Sensitivities } from './sensitivity.js';
import type { Assignment } from './tracing.js';

export interface ExploreStep {
  /** After all passes. */
  readonly prepared: Model;
  readonly layers: readonly Layer[];
  readonly original: Results['original'];
  readonly recipe: ResolvedRecipe;
  readonly request: QuantizeRequest;
  readonly context: QuantizeContext;
  readonly data: JobData;
  readonly meter: ProgressMeter;
  /** Inputs to verify artifacts on. */
  readonly feeds: readonly Feeds[];
}

/** What the measurements led to. */
export interface Exploration {
  /** Without a search. */
  readonly recipe: ResolvedRecipe;
  /** What weights are to be fitted to. */
  readonly fitting: JobDataset;
  /** Null when the time was up before. */
  readonly sensitivities: Sensitivities | null;
  /** Measured damage by weight, of a plan's layers; undefined where none was measured. */
  readonly damage: ((plan: readonly PlannedLayer[]) => Damage) | undefined;
  /** Takes the inputs of layers in the quantized network, for {@link Exploration.inputMeans}. */
  readonly onMoments: (layer: Layer, moments: readonly InputMoments[]) => void;
  readonly inputMeans: InputMeans;
  /** All networks that were measured, small ones first. Empty without a search. */
  readonly frontier: readonly FrontierPoint[];
  /** Artifacts of the kept networks but the chosen one, in the output folder. */
  readonly artifacts: readonly ArtifactReport[];
  readonly warnings: readonly Warning[];
}

/** What a search goes by. */
interface SearchBasis {
  readonly sensitivities: Sensitivities;
  /** Milliseconds of each precision of each unit; null where latency is not limited. */
  readonly times: readonly (readonly number[])[] | null;
  readonly limits: SearchLimits;
}

/** Artifacts that a search gives out at most, that of the chosen network included. */
const MOST_KEPT = 5;
const USUAL_MAX_DROP = 1;

/**
 * Measures sensitivities, and searches where the method is auto.
 * @throws TritforgeError CALIBRATION_REQUIRED, METRIC_UNSUPPORTED, MODEL_NOTHING_TO_QUANTIZE, CANCELED
 */
export async function explore(step: ExploreStep): Promise<Exploration> {
  const { data, recipe, layers } = step;
  if (data.calibration === null) throw calibrationRequired();
  const split = splitDataset(data.calibration);
  const units = findUnits(layers, recipe);
  // Planning the layers says why.
  if (units.length === 0) return nothingToExplore(recipe, data.calibration);
  return new Explorer(step, split, units).run();
}

class Explorer {
  readonly #step: ExploreStep;
  readonly #split: SplitDataset;
  readonly #units: readonly Unit[];
  /** Judging data are the evaluation data, or what was kept aside, which then no weight may be fitted to. */
  readonly #fitting: JobDataset;
  readonly #stop: AbortSignal | undefined;
  readonly #networks = new Map<string, MeasuredNetwork>();
  #isTimeUp = false;

  constructor(step: ExploreStep, split: SplitDataset, units: readonly Unit[]) {
    this.#step = step;
    this.#split = split;
    this.#units = units;
    this.#fitting =
      step.data.evaluation === null && step.recipe.search !== null ? split.fitting : step.data.calibration!;
    this.#stop = stopSignal(step);
  }

  async run(): Promise<Exploration> {
    const { recipe, meter, request, data } = this.#step;
    const { search } = recipe;
    const progress = new SearchProgress(meter, this.#units.length, search?.evaluations ?? 0);
    const measurer = await NetworkMeasurer.open({
      ...this.#step,
      fitting: this.#fitting,
      judging: data.evaluation ?? this.#split.heldOut,
      isTimed: search?.maxLatencyMs !== undefined,
    });
    try {
      const sensitivities = await this.#unlessStopped((signal) => this.#sensitivities(measurer, progress, signal));
      const found = { ...this.#common(sensitivities), frontier: [], artifacts: [], warnings: [] };
      if (search === null) return { ...found, recipe };
      const limits = limitsOf(search, request);
      const times = limits.maxLatencyMs === null ? null : await this.#layerLatencies(measurer);
      const isReady = sensitivities !== null && (limits.maxLatencyMs === null || times !== null);
      const points = isReady ? await this.#search({ sensitivities, times, limits }, measurer, progress) : [];
      const best = bestPoint(points, limits);
      const chosen = best === null ? singleRecipe(recipe, INT8) : this.#recipeOf(best.assignment);
      const pareto = paretoPoints(points, costOf(limits));
      const kept = keptPoints(pareto, best);
      const artifacts = await this.#publish(
        kept.filter((point) => point !== best),
        measurer,
      );
      return {
        ...found,
        recipe: resolveRecipe(chosen),
        frontier: this.#frontier(points, { pareto, kept, best }),
        artifacts,
        warnings: this.#warnings(best),
      };
    } finally {
      await measurer.close();
    }
  }

  #common(sensitivities: Sensitivities | null) {
    const inputMeans = new Map<Node, readonly Float64Array[]>();
    return {
      fitting: this.#fitting,
      sensitivities,
      damage: sensitivities === null ? undefined : (plan: readonly PlannedLayer[]) => damageOf(plan, sensitivities),
      inputMeans,
      onMoments: ({ node }: Layer, moments: readonly InputMoments[]) => {
        inputMeans.set(
          node,
          moments.map(({ mean }) => mean),
        );
      },
    };
  }

  async #sensitivities(
    measurer: NetworkMeasurer,
    progress: SearchProgress,
    signal: AbortSignal | undefined,
  ): Promise<Sensitivities> {
    const { recipe, layers, request, context, original } = this.#step;
    const resolved = recipe.search === null ? recipe : resolveRecipe(singleRecipe(recipe, INT8));
    const plan = await withSecondPlanes(planLayers(layers, resolved), resolved);
    const { activations, scales } = await measurer.calibrate(plan, resolved);
    return measureSensitivities({
      prepared: this.#step.prepared,
      units: this.#units,
      recipe,
      activations,
      scales,
      data: this.#split,
      maxSamples: request.maxCalibrationSamples,
      macs: original.inspection.macs,
      runtime: context.runtime,
      scratchDir: request.scratchDir,
      onUnit: (done, total) => progress.sensitivities(done, total),
      signal,
    });
  }

  #layerLatencies(measurer: NetworkMeasurer): Promise<number[][] | null> {
    const { recipe } = this.#step;
    return this.#unlessStopped((signal) => measurer.layerLatencies(this.#units, recipe, signal));
  }

  #search(
    { sensitivities, times, limits }: SearchBasis,
    measurer: NetworkMeasurer,
    progress: SearchProgress,
  ): Promise<MeasuredPoint[]> {
    const { recipe, layers } = this.#step;
    const singles = SINGLE_PRECISIONS.map((precision) =>
      assignmentOf(singleRecipe(recipe, precision), layers, this.#units),
    );
    return searchPrecisions({
      units: sensitivities.units.map((found, unit) => {
        const options = expectedOptions(found);
        const ms = (i: number) => (times === null ? 0 : times[unit]![i]!);
        return found.candidates.map(({ precision }, i) => ({ ...options[i]!, kind: kindOf(precision), ms: ms(i) }));
      }),
      singles,
      limits,
      evaluations: recipe.search!.evaluations,
      sizeOf: (assignment) => measurer.sizeOf(this.#recipeOf(assignment)),
      measure: async (assignment) => {
        const network = await this.#unlessStopped((signal) =>
          measurer.measure(this.#recipeOf(assignment), signal, (done) => progress.layers(done)),
        );
        if (network !== null) this.#networks.set(assignment.join(), network);
        progress.networkDone();
        return network;
      },
    });
  }

  #recipeOf(assignment: Assignment): Recipe {
    const { recipe, layers } = this.#step;
    return recipeOf(assignment, recipe, layers, this.#units);
  }

  /** Null when the time is up or the host asked to come to an end; cancellation goes on to the caller. */
  async #unlessStopped<T>(work: (signal: AbortSignal | undefined) => Promise<T>): Promise<T | null> {
    const { signal } = this.#step.context;
    const stop = this.#stop;
    if (stop?.aborted) {
      this.#isTimeUp = true;
      return null;
    }
    try {
      return await work(stop === undefined ? signal : AbortSignal.any(signal === undefined ? [stop] : [stop, signal]));
    } catch (error) {
      const isStop = stop?.aborted && !signal?.aborted && error instanceof TritforgeError && error.code === 'CANCELED';
      if (!isStop) throw error;
      this.#isTimeUp = true;
      return null;
    }
  }

  /** Moves the artifacts of networks into the output folder; all others go. */
  async #publish(points: readonly MeasuredPoint[], measurer: NetworkMeasurer): Promise<ArtifactReport[]> {
    const published: ArtifactReport[] = [];
    for (const { assignment } of points) {
      const { artifact, folder } = this.#networks.get(assignment.join())!;
      const { fileName, externalDataFileName } = artifact;
      for (const name of externalDataFileName === null ? [fileName] : [fileName, externalDataFileName])
        await rename(join(folder, name), join(this.#step.request.outputDir, name));
      published.push(artifact);
    }
    for (const network of this.#networks.values()) await measurer.discard(network);
    return published;
  }

  #frontier(
    points: readonly MeasuredPoint[],
    {
      pareto,
      kept,
      best,
    }: { pareto: readonly MeasuredPoint[]; kept: readonly MeasuredPoint[]; best: MeasuredPoint | null },
  ): FrontierPoint[] {
    const singles = new Map(
      SINGLE_PRECISIONS.toReversed().map((precision) => {
        const single = singleRecipe(this.#step.recipe, precision);
        return [assignmentOf(single, this.#step.layers, this.#units).join(), precisionName(precision)];
      }),
    );
    let mixed = 0;
    const all = points.map((point): FrontierPoint => {
      const key = point.assignment.join();
      const { accuracy, recipe, artifact } = this.#networks.get(key)!;
      const single = singles.get(key);
      return {
        label: single ?? `mixed ${++mixed}`,
        bitsPerWeight: point.bitsPerWeight,
        sizeBytes: point.sizeBytes,
        accuracy,
        latencyMs: point.latencyMs,
        kept: pareto.includes(point),
        drop: point.drop,
        meets: point.meets,
        singlePrecision: single !== undefined,
        fileName: point === best ? this.#chosenFileName() : kept.includes(point) ? artifact.fileName : null,
        recipe,
      };
    });
    return all.sort((a, b) => a.sizeBytes - b.sizeBytes);
  }

  #chosenFileName(): string {
    const { request, recipe } = this.#step;
    return artifactFileName(request.fileStem, recipe, recipe.artifacts[0]!);
  }

  #warnings(best: MeasuredPoint | null): Warning[] {
    const warnings: Warning[] = [];
    if (this.#isTimeUp) {
      const message =
        best === null
          ? 'The time was up before a network was measured: int8 was taken.'
          : `The time was up after ${this.#networks.size} networks: the best of them was taken.`;
      warnings.push({ code: 'SEARCH_ENDED_EARLY', message, node: null });
    }
    if (best !== null && !best.meets) {
      const message = 'No network that was measured is within the limits of the search: the nearest was taken.';
      warnings.push({ code: 'SEARCH_LIMITS_NOT_MET', message, node: null });
    }
    return warnings;
  }
}

/** When a search has to come to an end: after its minutes, or when the host asks for it. */
function stopSignal({ recipe, context }: ExploreStep): AbortSignal | undefined {
  const minutes = recipe.search?.minutes;
  const signals = [
    ...(context.settle === undefined ? [] : [context.settle]),
    ...(minutes === undefined ? [] : [AbortSignal.timeout(minutes * 60_000)]),
  ];
  return recipe.search === null || signals.length === 0 ? undefined : AbortSignal.any(signals);
}

function limitsOf(
  { maxAccuracyDrop, maxBytes, maxBitsPerWeight, maxLatencyMs }: Search,
  { gates }: QuantizeRequest,
): SearchLimits {
  const isCostLimited = [maxBytes, maxBitsPerWeight, maxLatencyMs].some((limit) => limit !== undefined);
  return {
    maxDrop: maxAccuracyDrop ?? gates?.maxAccuracyDrop ?? (isCostLimited ? null : USUAL_MAX_DROP),
    maxBytes: maxBytes ?? null,
    maxBitsPerWeight: maxBitsPerWeight ?? null,
    maxLatencyMs: maxLatencyMs ?? null,
  };
}

/** Of the points that no other beats, those that get an artifact: the best one, and others evenly spread. */
function keptPoints(pareto: readonly MeasuredPoint[], best: MeasuredPoint | null): MeasuredPoint[] {
  const others = pareto.filter((point) => point !== best);
  const room = MOST_KEPT - (best === null ? 0 : 1);
  const spread = Math.min(room, others.length);
  const chosen = Array.from({ length: spread }, (_, i) => others[Math.floor(((i + 0.5) * others.length) / spread)]!);
  return best === null ? chosen : [...chosen, best];
}

function nothingToExplore(recipe: ResolvedRecipe, fitting: JobDataset): Exploration {
  return {
    recipe: recipe.search === null ? recipe : resolveRecipe(singleRecipe(recipe, INT8)),
    fitting,
    sensitivities: null,
    damage: undefined,
    onMoments: () => {},
    inputMeans: new Map(),
    frontier: [],
    artifacts: [],
    warnings: [],
  };
}

function calibrationRequired(): TritforgeError {
  return new TritforgeError(
    'CALIBRATION_REQUIRED',
    'The recipe asks for measurements and there is no calibration dataset',
    {
      field: 'datasets.calibration',
      remediation:
        'Send some tens of typical samples, or choose another method than auto and leave recipe.sensitivity out.',
    },
  );
}
