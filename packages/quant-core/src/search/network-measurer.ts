/** Quantizes whole networks by recipes of their own and measures them. What does not depend on the recipe is computed once. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ArtifactProfile,
  type ArtifactReport,
  type Recipe,
  type ResolvedRecipe,
  resolveRecipe,
} from '@tritforge/contracts';
import { settleActivationBits } from '../activations/activation-bits.js';
import { planActivations } from '../activations/plan-activations.js';
import { writeArtifact } from '../artifact/write-artifacts.js';
import { throwIfCanceled } from '../cancellation.js';
import { compareAccuracy, compareLatency } from '../evaluate/index.js';
import { KnownLayers } from '../in-order/known-layers.js';
import { OriginalOutputs } from '../in-order/original-outputs.js';
import type { Model } from '../ir/index.js';
import type { Layer, PlannedLayer } from '../layers/layer.js';
import { planLayers } from '../layers/plan-layers.js';
import { withSecondPlanes } from '../layers/second-planes.js';
import { type CalibratedActivations, calibrateActivations } from '../pipeline/calibrate-activations.js';
import type { JobData, JobDataset } from '../pipeline/job-data.js';
import { quantizeNetwork } from '../pipeline/network-weights.js';
import { artifactReport, bitsPerWeight, type Results } from '../pipeline/report.js';
import { verifyArtifacts } from '../pipeline/verify-artifacts.js';
import type { QuantizeContext, QuantizeRequest } from '../quantize-request.js';
import type { Feeds, Runtime } from '../runtime/runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { blankNetwork } from './blank-network.js';
import { measureLayerLatencies } from './layer-latency.js';
import type { NetworkSize } from './limits.js';
import type { Unit } from './precisions.js';
import { RecordedSession } from './recorded-session.js';
import type { Measurement } from './search-precisions.js';

export interface NetworkMeasurerOptions {
  /** After all passes. */
  readonly prepared: Model;
  readonly layers: readonly Layer[];
  readonly original: Results['original'];
  readonly request: QuantizeRequest;
  readonly context: QuantizeContext;
  /** Of the whole job: ranges of activations come from all of its calibration data. */
  readonly data: JobData;
  /** What weights are fitted to. */
  readonly fitting: JobDataset;
  /** What networks are judged on; its labels count if it has any. */
  readonly judging: JobDataset;
  /** Inputs to verify artifacts on, and to time them with. */
  readonly feeds: readonly Feeds[];
  /** Whether latencies are wanted. */
  readonly isTimed: boolean;
}

/** A network that was measured, and its first artifact on disk. */
export interface MeasuredNetwork extends Measurement {
  readonly recipe: Recipe;
  /** Value of the metric. */
  readonly accuracy: number;
  readonly artifact: ArtifactReport;
  /** The folder with the files of the artifact; {@link NetworkMeasurer.discard} removes it. */
  readonly folder: string;
}

const LATENCY_BUDGET_MS = 1000;

export class NetworkMeasurer {
  readonly #options: NetworkMeasurerOptions;
  readonly #original: RecordedSession;
  readonly #known = new KnownLayers();
  readonly #originals: OriginalOutputs;
  readonly #calibrated = new Map<string, CalibratedActivations>();
  #count = 0;

  private constructor(options: NetworkMeasurerOptions, original: RecordedSession) {
    this.#options = options;
    this.#original = original;
    this.#originals = new OriginalOutputs(new ScratchTensors(join(options.request.scratchDir, 'originals.bin')));
  }

  static async open(options: NetworkMeasurerOptions): Promise<NetworkMeasurer> {
    const { context, request } = options;
    const session = await context.runtime.load(request.modelPath, sessionOptions(request));
    return new NetworkMeasurer(options, new RecordedSession(session));
  }

  /** What {@link measure} would find, exactly and without quantizing anything: sizes do not depend on the values of codes. */
  async sizeOf(recipe: Recipe): Promise<NetworkSize> {
    const { prepared, layers, original, request } = this.#options;
    const resolved = resolveRecipe(recipe);
    const folder = join(request.scratchDir, 'size');
    await mkdir(folder);
    try {
      const scratch = new ScratchTensors(join(folder, 'tensors.bin'));
      const plan = await withSecondPlanes(planLayers(layers, resolved), resolved);
      const network = await blankNetwork({ prepared, ...(await this.calibrate(plan, resolved)) }, resolved, scratch);
      const profile = resolved.artifacts[0]!;
      const written = await writeArtifact(network, profile, folder, this.#fileName(profile), scratch);
      const bits = bitsPerWeight({ ...written, profile }, { weights: network.weights, original, network });
      return { sizeBytes: written.sizeBytes, bitsPerWeight: bits.quantizedLayers ?? 0 };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** @param signal ends the work with CANCELED */
  async measure(
    recipe: Recipe,
    signal: AbortSignal | undefined,
    onLayer: (done: number, total: number) => void,
  ): Promise<MeasuredNetwork> {
    const { request, context, feeds, fitting, prepared, layers, original } = this.#options;
    const name = `network-${++this.#count}`;
    const folder = join(request.scratchDir, name);
    await mkdir(folder);
    try {
      const resolved = resolveRecipe(recipe);
      const scratch = new ScratchTensors(join(folder, 'tensors.bin'));
      const tools = { context: { ...context, signal }, runtime: context.runtime, scratchDir: folder, scratch, signal };
      const plan = await withSecondPlanes(planLayers(layers, resolved), resolved);
      const calibrated = await this.calibrate(plan, resolved);
      const { network } = await quantizeNetwork(
        { prepared, ...calibrated },
        {
          ...tools,
          recipe: resolved,
          calibration: fitting,
          maxSamples: request.maxCalibrationSamples,
          known: this.#known,
          originals: this.#originals,
          threads: context.solverThreads,
          onLayer,
        },
      );
      const profile = resolved.artifacts[0]!;
      const written = { ...(await writeArtifact(network, profile, folder, this.#fileName(profile), scratch)), profile };
      const { artifacts } = await verifyArtifacts(network, [written], { ...tools, feeds, onArtifact: () => {} });
      const artifact = artifactReport(artifacts[0]!, { weights: network.weights, original, network });
      const { quantized, drop } = await this.#accuracy(artifacts[0]!.loadablePath, signal);
      const latencyMs = this.#options.isTimed ? await this.#latency(artifacts[0]!.loadablePath, signal) : null;
      await rm(join(folder, 'tensors.bin'), { force: true });
      return {
        recipe,
        accuracy: quantized,
        drop,
        latencyMs,
        sizeBytes: artifact.sizeBytes,
        bitsPerWeight: artifact.bitsPerWeight.quantizedLayers ?? 0,
        artifact,
        folder,
      };
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Ranges of activations: they depend on the bits of inputs alone. */
  async calibrate(plan: readonly PlannedLayer[], recipe: ResolvedRecipe): Promise<CalibratedActivations> {
    const { prepared, data, request, context } = this.#options;
    const planned = await planActivations(prepared.graph, plan, recipe.activations.shortcuts);
    const layers = settleActivationBits(plan, planned);
    const key = JSON.stringify(layers.map(({ applied }) => applied.activationBits));
    const known = this.#calibrated.get(key);
    if (known !== undefined)
      return { ...known, layers: layers.map((layer, i) => withInputOf(layer, known.layers[i]!)) };
    const meter = { done: () => throwIfCanceled(context.signal) };
    const step = { prepared, layers, activations: planned, recipe, data, request, context, meter };
    const calibrated = await calibrateActivations(step);
    this.#calibrated.set(key, calibrated);
    return calibrated;
  }

  #fileName(profile: ArtifactProfile): string {
    return `${this.#options.request.fileStem}.auto-${this.#count}.${profile}.onnx`;
  }

  async #accuracy(path: string, signal: AbortSignal | undefined): Promise<{ quantized: number; drop: number }> {
    const { context, request, data, judging } = this.#options;
    const quantized = await context.runtime.load(path, sessionOptions(request));
    try {
      const { dataset, feedPlan } = judging;
      // Without evaluation data there are no labels, and the distance to the original is the metric.
      const metric = data.evaluation === null ? undefined : request.metric;
      const report = await compareAccuracy({ original: this.#original, quantized, dataset, feedPlan, metric, signal });
      return { quantized: report.quantized, drop: report.drop! };
    } finally {
      await quantized.release();
    }
  }

  async #latency(path: string, signal: AbortSignal | undefined): Promise<number> {
    const session = await this.#runtime.load(path, sessionOptions(this.#options.request));
    try {
      const feeds = this.#options.feeds[0]!;
      // Beside the original, as in the report: alone a small network would find its weights in the processor's cache.
      const original = { name: 'original', session: this.#original, feeds };
      const contestants = [original, { name: 'quantized', session, feeds }];
      const { results } = await compareLatency(contestants, { budgetMs: LATENCY_BUDGET_MS, signal });
      return results.get('quantized')!.medianMs;
    } finally {
      await session.release();
    }
  }

  /** What the first artifact is made for. */
  get #runtime(): Runtime {
    const { context, request } = this.#options;
    const isAccelerated = request.recipe.artifacts?.[0] === 'accelerated';
    return (isAccelerated ? context.accelerated : null) ?? context.runtime;
  }

  /** Milliseconds of each precision of each unit, all its layers together. */
  layerLatencies(units: readonly Unit[], recipe: ResolvedRecipe, signal: AbortSignal | undefined): Promise<number[][]> {
    const { prepared, feeds, request } = this.#options;
    return measureLayerLatencies({
      prepared,
      units,
      recipe,
      feeds: feeds[0]!,
      runtime: this.#runtime,
      sessionOptions: sessionOptions(request),
      scratchDir: request.scratchDir,
      signal,
    });
  }

  /** Removes the files of a network. */
  async discard({ folder }: MeasuredNetwork): Promise<void> {
    await rm(folder, { recursive: true, force: true });
  }

  close(): Promise<void> {
    return this.#original.release();
  }
}

function sessionOptions({ threads }: QuantizeRequest) {
  return { threads: threads ?? 1, optimization: 'all' } as const;
}

/** The layer with the bits that the input of a layer calibrated before has. */
function withInputOf(layer: PlannedLayer, calibrated: PlannedLayer): PlannedLayer {
  const { activationBits } = calibrated.applied;
  if (activationBits === layer.applied.activationBits) return layer;
  return { ...layer, applied: { ...layer.applied, activationBits }, reason: calibrated.reason };
}
