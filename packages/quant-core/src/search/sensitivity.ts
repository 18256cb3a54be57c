/**
 * What each weight costs the network at each precision, measured: one weight is quantized at a time, all others stay.
 *
 *   for each weight
 *     moments  of its inputs in the original network, on the samples for fitting       in-order/
 *     solve    each precision
 *     damage   run the network from the layer on, on the samples kept aside            layer-suffix.ts
 *
 * Cost: each sample runs through the network once; then, for each weight, once and once more per precision through what is
 * behind it: at most (precisions + 2) · layers · samples kept aside forward passes of part of the network, in a network of equal
 * layers half of each. So many samples are kept aside as keep that linear in the size of the network: see `heldOutCount`.
 */
import type { ResolvedRecipe } from '@tritforge/contracts';
import { layerInput } from '../activations/activation-bits.js';
import type { ActivationPlan } from '../activations/plan-activations.js';
import type { ActivationScale } from '../artifact/build-graph.js';
import type { Laboratory } from '../calibrate/observed-model.js';
import { sampleIndices, sampleRuns } from '../calibrate/sample-runs.js';
import { throwIfCanceled } from '../cancellation.js';
import { perSample } from '../evaluate/score-models.js';
import { scoringOf } from '../evaluate/scoring-of.js';
import { relativeError } from '../fgq/index.js';
import { calibrationRuns } from '../in-order/calibration-runs.js';
import { layerMoments } from '../in-order/layer-moments.js';
import { nearestWhole, type SolvedLayer, solveWhole } from '../in-order/solve-whole.js';
import { type Model, readFloats } from '../ir/index.js';
import { canHaveBias, type Layer, type PlannedLayer } from '../layers/layer.js';
import { inOwnOrder, readRows } from '../layers/weight-rows.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { PrefixRunner } from '../prefix/index.js';
import { hostFloats } from '../runtime/host-floats.js';
import type { HostTensor, Runtime } from '../runtime/runtime.js';
import type { InputMoments } from '../solve/index.js';
import { InputWatch, type LayerStatistics, layerStatistics, type Noise, weightNoise } from './causes.js';
import type { SplitDataset } from './held-out.js';
import { LayerSuffix, planSuffix, type Substitutes, type SuffixOutputs, type SuffixPlan } from './layer-suffix.js';
import { type DamageMeasure, type OutputDistance, outputDistance } from './output-distance.js';
import { storedByteLength, type Unit, type WeightPrecision } from './precisions.js';

export interface SensitivityOptions {
  /** After all passes. */
  readonly prepared: Model;
  readonly units: readonly Unit[];
  readonly recipe: ResolvedRecipe;
  readonly activations: ActivationPlan;
  /** By the value that is observed. */
  readonly scales: ReadonlyMap<string, ActivationScale>;
  readonly data: SplitDataset;
  /** Samples for fitting, at most; chosen by their size when left out. */
  readonly maxSamples: number | undefined;
  /** Multiply-accumulates of a sample; null when not known. */
  readonly macs: number | null;
  readonly runtime: Runtime;
  readonly scratchDir: string;
  /** Called before each weight and after the last; may throw to stop. */
  readonly onUnit: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A precision of a weight and what it costs. */
export interface Candidate {
  readonly precision: WeightPrecision;
  /** In the unit of {@link Sensitivities.measure}. */
  readonly damage: number;
  /** Squared error of the layer's output over its variance. */
  readonly outputNoise: number;
  /** Stored codes and scales. */
  readonly bytes: number;
  readonly noise: Noise;
}

/** A weight and its precisions, small ones first. */
export interface UnitSensitivity {
  readonly unit: Unit;
  readonly candidates: readonly Candidate[];
  /** Damage by the quantization of the layer's input alone; null where it stays in floating point. */
  readonly inputDamage: number | null;
  readonly inputNoise: Noise;
  /** Null where moments would not fit in memory. */
  readonly statistics: LayerStatistics | null;
}

export interface Sensitivities {
  readonly measure: DamageMeasure;
  /** Samples kept aside that were used. */
  readonly samples: number;
  /** In the order of the network. */
  readonly units: readonly UnitSensitivity[];
}

/** Samples kept aside: at least, at most, and so many multiply-accumulates for all of them. */
const FEWEST_SAMPLES = 16;
const MOST_SAMPLES = 128;
const MOST_MACS = 5e12;
const UNKNOWN_SAMPLES = 32;

/**
 * Measures the damage of every precision of every unit.
 * @throws TritforgeError METRIC_UNSUPPORTED when no output is floating point, MODEL_RUN_FAILED, CANCELED
 */
export async function measureSensitivities(options: SensitivityOptions): Promise<Sensitivities> {
  const { prepared, data, runtime, scratchDir, units, signal } = options;
  const laboratory: Laboratory = { runtime, scratchDir, options: { threads: 1, optimization: 'all' } };
  const { output, hasClasses } = await scoringOf(prepared, data.heldOut, laboratory);
  const plans = units.map((unit) => planSuffix(prepared, unit, output));
  const original = await PrefixRunner.open(prepared, {
    runs: await calibrationRuns(data.fitting, options.maxSamples),
    stops: units.map(({ layers: [layer] }) => endsOf(layer)),
    runtime,
    scratchDir,
    signal,
  });
  try {
    const indices = heldOutIndices(data.heldOut, heldOutCount(options));
    const heldOut = await PrefixRunner.open(prepared, {
      runs: sampleRuns(data.heldOut.dataset, data.heldOut.feedPlan, indices),
      stops: plans.map((plan) => plan?.values ?? []),
      runtime,
      scratchDir,
      signal,
    });
    try {
      const measure: DamageMeasure = hasClasses ? 'kl' : 'relativeMse';
      const meter = new SensitivityMeter(options, { original, heldOut }, measure, laboratory);
      return { measure, samples: new Set(indices).size, units: await meter.run(plans) };
    } finally {
      await heldOut.close();
    }
  } finally {
    await original.close();
  }
}

/** Input and output of a layer. */
function endsOf({ node, weightPosition }: Layer): string[] {
  return [node.inputs[1 - weightPosition]!, node.outputs[0]!];
}

function heldOutCount({ units, macs }: SensitivityOptions): number {
  if (macs === null || units.length === 0) return UNKNOWN_SAMPLES;
  const runs = units.reduce((sum, { precisions }) => sum + precisions.length + 2, 0);
  return Math.min(MOST_SAMPLES, Math.max(FEWEST_SAMPLES, Math.floor(MOST_MACS / (runs * (macs / 2)))));
}

/** Evenly spread, in full runs: where a run takes several samples, some come twice rather than that one is padded. */
function heldOutIndices({ dataset, feedPlan }: JobDataset, wanted: number): number[] {
  const indices = sampleIndices(dataset.sampleCount, wanted);
  const runSamples = feedPlan.runSamples ?? 1;
  const count = Math.max(1, Math.floor(indices.length / runSamples)) * runSamples;
  return Array.from({ length: count }, (_, i) => indices[i % indices.length]!);
}

/** Tensors put into a suffix, and how far its outputs were from those without. */
interface Trial {
  readonly substitutes: Substitutes;
  readonly ofNetwork: OutputDistance;
  readonly ofLayer: OutputDistance;
}

interface MeasuredDamages {
  readonly solved: readonly Pick<Candidate, 'damage' | 'outputNoise'>[];
  readonly input: number | null;
}

/** The original network, on the two sets of samples. */
interface Runners {
  readonly original: PrefixRunner;
  readonly heldOut: PrefixRunner;
}

class SensitivityMeter {
  readonly #options: SensitivityOptions;
  readonly #runners: Runners;
  readonly #measure: DamageMeasure;
  readonly #laboratory: Laboratory;

  constructor(options: SensitivityOptions, runners: Runners, measure: DamageMeasure, laboratory: Laboratory) {
    this.#options = options;
    this.#runners = runners;
    this.#measure = measure;
    this.#laboratory = laboratory;
  }

  async run(plans: readonly (SuffixPlan | null)[]): Promise<UnitSensitivity[]> {
    const { units, onUnit } = this.#options;
    const found: UnitSensitivity[] = [];
    for (const [done, unit] of units.entries()) {
      onUnit(done, units.length);
      found.push(await this.#unit(unit, plans[done]!));
    }
    onUnit(units.length, units.length);
    return found;
  }

  async #unit(unit: Unit, plan: SuffixPlan | null): Promise<UnitSensitivity> {
    const [layer] = unit.layers;
    const { original, heldOut } = this.#runners;
    await original.advance(endsOf(layer));
    await heldOut.advance(plan?.values ?? []);
    const weights = await readRows(layer);
    const moments = await this.#moments(layer);
    const statistics = moments && layerStatistics(weights, layer.layout, moments);
    const solved: SolvedLayer[] = [];
    for (const precision of unit.precisions) solved.push(await this.#solve(layer, weights, precision, moments));
    const scale = this.#inputScale(layer);
    const watch = scale && new InputWatch(scale);
    const measured = plan && (await this.#damages(plan, solved, scale, watch));
    return {
      unit,
      candidates: unit.precisions.map((precision, i) => {
        const weightError = relativeError(weights, solved[i]!.decoded);
        return {
          precision,
          ...(measured?.solved[i] ?? { damage: weightError, outputNoise: weightError }),
          bytes: storedByteLength(layer.layout, precision),
          noise: statistics === null ? {} : weightNoise(solved[i]!.codes, statistics),
        };
      }),
      inputDamage: measured?.input ?? null,
      inputNoise: watch === null || statistics === null ? {} : watch.noise(statistics),
      statistics,
    };
  }

  #moments(layer: Layer): Promise<InputMoments[] | null> {
    const { runtime, scratchDir, recipe, signal } = this.#options;
    const [x, y] = endsOf(layer).map((name) => this.#runners.original.values(name));
    return layerMoments(layer, x!, y!, { runtime, scratchDir, seed: recipe.seed, signal });
  }

  async #solve(
    layer: Layer,
    weights: Float32Array,
    precision: WeightPrecision,
    moments: InputMoments[] | null,
  ): Promise<SolvedLayer> {
    const { recipe } = this.#options;
    throwIfCanceled(this.#options.signal);
    const applied = { ...precision, activationBits: null };
    const planned: PlannedLayer = { layer, requested: applied, applied, reason: null };
    const options = { recipe, bias: await startingBias(layer, recipe), minimumScales: undefined };
    return moments === null
      ? nearestWhole(weights, planned, options)
      : solveWhole(weights, planned, { moments, ...options });
  }

  /** The damage of each solution, and of the quantized input where it has a scale. */
  async #damages(
    plan: SuffixPlan,
    solved: readonly SolvedLayer[],
    scale: ActivationScale | null,
    watch: InputWatch | null,
  ): Promise<MeasuredDamages> {
    const { heldOut } = this.#runners;
    const { layers } = plan.unit;
    const trials = solved.map(({ decoded, bias }) =>
      // A bias was corrected for the layer that it was solved for; others keep theirs.
      this.#trial({ weight: inOwnOrder(decoded, layers[0]), biases: layers.map((_, i) => (i === 0 ? bias : null)) }),
    );
    const ofInput = scale !== null && layers.length === 1 ? this.#trial({}) : null;
    const suffix = await this.#openSuffix(plan);
    try {
      for (let run = 0; run < heldOut.runCount; run++) {
        throwIfCanceled(this.#options.signal);
        const values = new Map<string, HostTensor>();
        for (const name of plan.values) values.set(name, await heldOut.read(name, run));
        const original = await suffix.run(values);
        for (const trial of trials) this.#compare(trial, original, await suffix.run(values, trial.substitutes));
        const x = values.get(plan.input)!;
        watch?.add(hostFloats(x));
        if (ofInput !== null && scale !== null)
          this.#compare(ofInput, original, await suffix.run(values, { input: quantizedInput(x, scale) }));
      }
    } finally {
      await suffix.release();
    }
    return {
      solved: trials.map(({ ofNetwork, ofLayer }) => ({ damage: ofNetwork.value(), outputNoise: ofLayer.value() })),
      input: ofInput?.ofNetwork.value() ?? null,
    };
  }

  #trial(substitutes: Substitutes): Trial {
    return {
      substitutes,
      ofNetwork: outputDistance(this.#measure),
      ofLayer: outputDistance('relativeMse'),
    };
  }

  async #openSuffix(plan: SuffixPlan): Promise<LayerSuffix> {
    const dtypes = new Map<string, HostTensor['dtype']>();
    for (const name of plan.values) dtypes.set(name, (await this.#runners.heldOut.read(name, 0)).dtype);
    return LayerSuffix.open(this.#options.prepared, plan, (name) => dtypes.get(name)!, this.#laboratory);
  }

  #compare({ ofNetwork, ofLayer }: Trial, original: SuffixOutputs, quantized: SuffixOutputs): void {
    const { feedPlan } = this.#options.data.heldOut;
    const run = { feeds: new Map(), samples: feedPlan.runSamples ?? 1, padding: 0 };
    const scored = ({ output }: SuffixOutputs) => perSample(output, run, feedPlan);
    ofNetwork.add(scored(original), scored(quantized), run.samples);
    ofLayer.add(original.layer, quantized.layer, run.samples);
  }

  #inputScale({ node }: Layer): ActivationScale | null {
    const { activations, scales } = this.#options;
    const value = layerInput(activations, node);
    return value === undefined ? null : (scales.get(value.rangeOf) ?? null);
  }
}

/** The bias that is corrected; zeros where the layer has none and may get one. */
async function startingBias(layer: Layer, { correction }: ResolvedRecipe): Promise<Float32Array | null> {
  if (layer.bias !== null) return readFloats(layer.bias);
  return canHaveBias(layer) && correction.includes('mean') ? new Float32Array(layer.layout.outputChannels) : null;
}

/** What comes out of QuantizeLinear and DequantizeLinear. */
function quantizedInput(x: HostTensor, { scale, zeroPoint, maxCode }: ActivationScale): HostTensor {
  const data = Float32Array.from(hostFloats(x), (value) => {
    const code = Math.min(maxCode, Math.max(0, Math.round(value / scale) + zeroPoint));
    return (code - zeroPoint) * scale;
  });
  return { dtype: 'float32', shape: x.shape, data };
}
