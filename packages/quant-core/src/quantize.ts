/**
 * START HERE: the method, top to bottom.
 *
 *   read → prepare (passes/) → [search for channels (nce/)] → [search for the recipe (search/)] → plan (layers/, activations/) → calibrate
 *        → quantize weights (in-order/) → [fine-tune (train/)] → encode (artifact/) → verify → measure → report (pipeline/)
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Report, type ResolvedRecipe, resolveRecipe, TritforgeError } from '@tritforge/contracts';
import { settleActivationBits } from './activations/activation-bits.js';
import { planActivations } from './activations/plan-activations.js';
import type { QuantizedModel } from './artifact/build-graph.js';
import { artifactFileName, type WrittenModel, writeArtifact } from './artifact/write-artifacts.js';
import { observeChannelMaxima } from './calibrate/channel-maxima.js';
import { measureSqnr } from './evaluate/index.js';
import { SolverThreads } from './in-order/solver-threads.js';
import type { Model } from './ir/index.js';
import { findLayers } from './layers/find-layers.js';
import { planLayers } from './layers/plan-layers.js';
import { withSecondPlanes } from './layers/second-planes.js';
import { keepInfiniteTables } from './layers/tables.js';
import type { SupernetBase } from './nce/supernet/supernet-graph.js';
import { readModel, validateModel } from './onnx/index.js';
import { equalize } from './passes/equalize.js';
import { findLayerPairs } from './passes/layer-pairs.js';
import { prepareModel } from './passes/prepare-model.js';
import { artifactSize } from './pipeline/artifact-size.js';
import { calibrateActivations } from './pipeline/calibrate-activations.js';
import { expectedCosts } from './pipeline/expected-costs.js';
import { type FineTuneStep, fineTuneNetwork } from './pipeline/fine-tune-network.js';
import { type JobData, openJobData } from './pipeline/job-data.js';
import { judgedValues } from './pipeline/layer-outputs.js';
import { measure } from './pipeline/measure.js';
import { type QuantizedNetworks, quantizeNetwork } from './pipeline/network-weights.js';
import { openCheckpoints } from './pipeline/open-checkpoints.js';
import { describeOriginal, type OriginalModel } from './pipeline/original-model.js';
import { ProgressMeter } from './pipeline/progress-meter.js';
import { makeReport } from './pipeline/report.js';
import { type Control, type ControlsStep, runControls } from './pipeline/run-controls.js';
import { sampleFeeds } from './pipeline/sample-feeds.js';
import { type SearchChannelsStep, type SearchedNetwork, searchChannels } from './pipeline/search-channels.js';
import { isHeavyToLoad } from './pipeline/unpacked-copy.js';
import { loadable, verifyArtifacts, type WrittenArtifact } from './pipeline/verify-artifacts.js';
import type { QuantizeContext, QuantizeRequest } from './quantize-request.js';
import type { Feeds } from './runtime/runtime.js';
import { ScratchTensors } from './scratch-tensors.js';
import { type Exploration, type ExploreStep, explore } from './search/explore.js';

export type { DatasetReference, PhaseProgress, QuantizeContext, QuantizeRequest } from './quantize-request.js';

/** Constant expressions with larger results are not computed beforehand. */
const MAX_FOLDED_BYTES = 1024 * 1024 * 1024;
const VERIFICATION_SAMPLES = 4;
const SQNR_SAMPLES = 16;

/**
 * Quantizes a model, writes the artifacts of the recipe into `request.outputDir` and proves what became of it. The same request
 * gives the same artifact bytes on every machine of one kind of processor. Files in `request.scratchDir` are removed.
 * @throws TritforgeError naming what is wrong with model, data or recipe; CANCELED; ARTIFACT_VERIFICATION_FAILED
 */
export async function quantize(request: QuantizeRequest, context: QuantizeContext): Promise<Report> {
  const scratchDir = await mkdtemp(join(request.scratchDir, 'quantize-'));
  const ownThreads = context.solverThreads === undefined ? new SolverThreads(request.solverThreads) : null;
  const solverThreads = context.solverThreads ?? ownThreads!;
  try {
    return await new Quantization({ ...request, scratchDir }, { ...context, solverThreads }).run();
  } finally {
    await ownThreads?.close();
    await rm(scratchDir, { recursive: true, force: true });
  }
}

/** One run, with what its steps share. */
class Quantization {
  readonly #request: QuantizeRequest;
  readonly #context: QuantizeContext;
  readonly #recipe: ResolvedRecipe;
  readonly #meter: ProgressMeter;
  readonly #scratch: ScratchTensors;

  constructor(request: QuantizeRequest, context: QuantizeContext) {
    this.#request = request;
    this.#context = context;
    this.#recipe = resolveRecipe(request.recipe);
    this.#meter = new ProgressMeter(context, new Map());
    this.#scratch = new ScratchTensors(join(request.scratchDir, 'tensors.bin'));
  }

  async run(): Promise<Report> {
    this.#meter.begin('read', 1, 'models');
    const model = await readModel(this.#request.modelPath);
    await validateModel(model);
    const original = await describeOriginal(this.#request.modelPath, model);
    const data = await openJobData(this.#request, model);
    try {
      const threads = this.#context.solverThreads?.count ?? 1;
      const { maxCalibrationSamples } = this.#request;
      this.#meter.expect(expectedCosts(original.inspection, data, this.#recipe, threads, maxCalibrationSamples));
      return await this.#quantize(model, original, data);
    } finally {
      await data.close();
    }
  }

  async #quantize(uploaded: Model, original: OriginalModel, data: JobData): Promise<Report> {
    await this.#prepare(uploaded, data);
    const searched = await this.#searchChannels(uploaded, original.files, data);
    const model = searched?.model ?? uploaded;
    const { layers: found, kept } = await keepInfiniteTables(findLayers(model));
    if (found.length === 0) throw nothingToQuantize(0);
    const feeds = await this.#feeds(data);
    const exploration = await this.#explore({ prepared: model, layers: found, original, data, feeds });
    const recipe = exploration?.recipe ?? this.#recipe;
    const wanted = await withSecondPlanes(planLayers(found, recipe), recipe, exploration?.damage);
    if (wanted.every(({ applied }) => applied.bits === null)) throw nothingToQuantize(found.length);
    const planned = await planActivations(model.graph, wanted, recipe.activations.shortcuts);

    this.#meter.begin('calibrate', 1, 'samples');
    const shared = { recipe, request: this.#request, context: this.#context, meter: this.#meter, data };
    const { layers, activations, scales, eightBitScales } = await calibrateActivations({
      prepared: model,
      layers: settleActivationBits(wanted, planned),
      activations: planned,
      ...shared,
    });

    const checkpoints =
      exploration === null ? await openCheckpoints({ ...shared, modelFiles: original.files }) : undefined;
    this.#meter.begin('quantize', layers.length, 'layers');
    const { network: quantized, int8: ownInt8 } = await quantizeNetwork(
      { prepared: model, layers, activations, scales, eightBitScales },
      {
        ...this.#tools(),
        ...shared,
        threads: this.#context.solverThreads,
        known: checkpoints,
        calibration: exploration?.fitting ?? data.calibration,
        onLayer: (done, total, secondsLeft) => this.#meter.done(done, total, secondsLeft),
        onMoments: exploration?.onMoments,
      },
    );
    const { network, ...fineTuned } = await this.#fineTune(quantized, {
      teacher: uploaded,
      modelFiles: original.files,
      data,
    });
    const int8 = searched === null ? ownInt8 : await this.#int8Of(uploaded, data);
    const { artifacts: written, baseline } = await this.#encode(network, int8);
    const { artifacts, sqnr } = await this.#verify(network, written, feeds, data);

    this.#meter.begin('measure', data.evaluation?.dataset.sampleCount ?? 1, 'samples');
    const measured = await measure({
      ...shared,
      originalPath: this.#request.modelPath,
      quantizedPath: artifacts[0]!.loadablePath,
      baselinePath: baseline && (await loadable(baseline, network, this.#tools())),
      acceleratedPath: await this.#acceleratedPath(network, artifacts),
      inPairs: isHeavyToLoad(network),
      evaluation: data.evaluation,
      feeds: feeds[0]!,
    });
    const report = await makeReport({
      ...shared,
      ...measured,
      recipe: this.#recipe,
      exploration,
      fineTune: fineTuned,
      nce: searched?.report ?? null,
      engine: this.#context.runtime.engine,
      original,
      network,
      weights: network.weights,
      kept,
      artifacts,
      baseline,
      sqnr,
    });
    return this.#compare(report, searched?.controls ?? []);
  }

  /** The report, with the networks that the recipe wants to compare the result with. */
  async #compare(report: Report, controls: readonly Control[]): Promise<Report> {
    if (report.nce === undefined || controls.length === 0) return report;
    const [request, context, meter] = [this.#request, this.#context, this.#meter];
    const run: ControlsStep['run'] = (own, its) => new Quantization(own, its).run();
    const { scratchDir } = request;
    return {
      ...report,
      nce: { ...report.nce, controls: await runControls(controls, { request, context, meter, scratchDir, run }) },
    };
  }

  /** What the recipe asks to measure before anything is quantized; null when it asks for nothing. */
  async #explore(
    step: Pick<ExploreStep, 'prepared' | 'layers' | 'original' | 'data' | 'feeds'>,
  ): Promise<Exploration | null> {
    if (!this.#recipe.sensitivity) return null;
    const [recipe, request, context, meter] = [this.#recipe, this.#request, this.#context, this.#meter];
    return explore({ ...step, recipe, request, context, meter });
  }

  /** Trains the quantized network where the recipe asks for it. */
  async #fineTune(network: QuantizedNetworks['network'], step: Pick<FineTuneStep, 'teacher' | 'modelFiles' | 'data'>) {
    const { fineTune } = this.#recipe;
    if (fineTune === null) return { network, report: null, warnings: [] };
    return fineTuneNetwork(network, fineTune, {
      ...this.#tools(),
      recipe: this.#recipe,
      request: this.#request,
      meter: this.#meter,
      ...step,
    });
  }

  /** The network with the numbers of channels that a search finds, where the recipe asks for one. */
  async #searchChannels(
    prepared: Model,
    modelFiles: readonly string[],
    data: JobData,
  ): Promise<SearchedNetwork | null> {
    const { nce, fineTune } = this.#recipe;
    if (nce === null || fineTune === null) return null;
    const [recipe, request, context, meter] = [this.#recipe, this.#request, this.#context, this.#meter];
    const shared = { recipe, request, context, meter, data };
    const plan: SearchChannelsStep['plan'] = async (model, scales) => {
      const planned = await plannedNetwork(model, recipe);
      if (scales !== undefined) return { ...planned, scales };
      return { prepared: model, ...(await calibrateActivations({ ...planned, ...shared })) };
    };
    const tools = this.#tools();
    const [profile] = recipe.artifacts;
    const sizeOf = (network: SupernetBase) => artifactSize(network, { ...tools, profile: profile! });
    return searchChannels(prepared, { ...tools, ...shared, nce, fineTune, modelFiles, plan, sizeOf });
  }

  /** The int8 model of a network, as the method int8 makes it without a solver. */
  async #int8Of(prepared: Model, data: JobData): Promise<QuantizedModel> {
    const recipe = resolveRecipe({ method: 'int8', weights: { solver: 'exact' } });
    const shared = { recipe, request: this.#request, context: this.#context, meter: this.#meter, data };
    const calibrated = await calibrateActivations({ ...(await plannedNetwork(prepared, recipe)), ...shared });
    const step = { ...this.#tools(), ...shared, calibration: null, onLayer: () => {} };
    return (await quantizeNetwork({ prepared, ...calibrated }, step)).network;
  }

  /** Inputs to verify artifacts on. */
  #feeds(data: JobData): Promise<Feeds[]> {
    const { modelPath } = this.#request;
    return sampleFeeds(data, this.#context.runtime, modelPath, VERIFICATION_SAMPLES, this.#recipe.seed);
  }

  async #prepare(model: Model, { calibration }: JobData): Promise<void> {
    this.#meter.begin('prepare', 1, 'models');
    const { scratchDir } = this.#request;
    await prepareModel(model, {
      runtime: this.#context.runtime,
      scratch: this.#scratch,
      scratchDir,
      maxResultBytes: MAX_FOLDED_BYTES,
    });
    if (!this.#recipe.equalize) return;
    const values = [...new Set((await findLayerPairs(model)).map(({ value }) => value))];
    const observed = calibration && (await observeChannelMaxima({ model, values, ...calibration, ...this.#tools() }));
    await equalize(model, this.#scratch, observed ?? undefined);
  }

  /** Writes the artifacts and, unless it is the same, the int8 model that they are compared with. */
  async #encode(
    network: QuantizedModel,
    int8: QuantizedModel,
  ): Promise<{ artifacts: WrittenArtifact[]; baseline: WrittenModel | null }> {
    const { outputDir, fileStem, scratchDir } = this.#request;
    this.#meter.begin('encode', this.#recipe.artifacts.length + 1, 'files');
    const artifacts: WrittenArtifact[] = [];
    for (const profile of this.#recipe.artifacts) {
      const written = await writeArtifact(
        network,
        profile,
        outputDir,
        artifactFileName(fileStem, this.#recipe, profile),
        this.#scratch,
      );
      artifacts.push({ ...written, profile });
      this.#meter.done(artifacts.length);
    }
    const isInt8 = network.layers.every(
      ({ applied: { bits, activationBits } }) =>
        (bits === 8 || bits === null) && (activationBits === 8 || activationBits === null),
    );
    return {
      artifacts,
      baseline: isInt8 ? null : await writeArtifact(int8, 'portable', scratchDir, 'int8-baseline.onnx', this.#scratch),
    };
  }

  /** The accelerated encoding, written for the measurement where the recipe does not ask for it. */
  async #acceleratedPath(network: QuantizedModel, artifacts: readonly WrittenArtifact[]): Promise<string | null> {
    if (!this.#context.accelerated || isHeavyToLoad(network)) return null;
    const requested = artifacts.find(({ profile }) => profile === 'accelerated');
    if (requested !== undefined) return requested.path;
    const { scratchDir } = this.#request;
    return (await writeArtifact(network, 'accelerated', scratchDir, 'accelerated.onnx', this.#scratch)).path;
  }

  async #verify(network: QuantizedModel, written: readonly WrittenArtifact[], feeds: readonly Feeds[], data: JobData) {
    this.#meter.begin('verify', written.length + 1, 'artifacts');
    const { artifacts, reference } = await verifyArtifacts(network, written, {
      ...this.#tools(),
      feeds,
      onArtifact: (done) => this.#meter.done(done),
    });
    const samples = data.calibration ?? data.evaluation;
    const sqnr =
      samples === null
        ? new Map<string, number>()
        : await measureSqnr({
            ...samples,
            ...this.#tools(),
            original: network.prepared,
            quantized: reference,
            values: new Map(judgedValues(network).map((name) => [name, name])),
            maxSamples: SQNR_SAMPLES,
            memoryCapBytes: this.#request.memoryCapBytes,
          });
    return { artifacts, sqnr };
  }

  /** What most steps take. */
  #tools() {
    const { runtime, signal } = this.#context;
    const { scratchDir, maxCalibrationSamples } = this.#request;
    const scratch = this.#scratch;
    return { context: this.#context, runtime, signal, scratchDir, scratch, maxSamples: maxCalibrationSamples };
  }
}

async function plannedNetwork(prepared: Model, recipe: ResolvedRecipe) {
  const { layers: found } = await keepInfiniteTables(findLayers(prepared));
  const wanted = planLayers(found, recipe);
  const activations = await planActivations(prepared.graph, wanted, recipe.activations.shortcuts);
  return { prepared, layers: settleActivationBits(wanted, activations), activations };
}

function nothingToQuantize(found: number): TritforgeError {
  const message =
    found === 0
      ? 'The model has no Conv, Gemm, MatMul or embedding with a constant float32 weight'
      : `The recipe excludes all ${found} layers of the model`;
  return new TritforgeError('MODEL_NOTHING_TO_QUANTIZE', message, {
    remediation:
      found === 0
        ? 'Check with inspect that the model was exported with its weights, in float32.'
        : 'Drop a rule of recipe.layers.',
  });
}
