/**
 * A supernet in training: threads that compute its gradients, and what they are computed with.
 *
 *   latent weights ─▶ quantized weights ─┐
 *   γ, β of candidates, pairs ─▶ K, b ───┴─▶ loss of a batch ─▶ gradients by all of them, and by the shares of the pairs
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { WeightScales } from '@tritforge/contracts';
import { readFloats } from '../../ir/index.js';
import { MOMENTS, type Moments, measureMoments, STATISTICS, statisticsBatches } from '../../train/batch-normalizer.js';
import type { LatentParameters } from '../../train/latent-parameters.js';
import type { Augmentation } from '../../train/messages.js';
import { NORMALIZATION_EPSILON, type NormalizedLayer } from '../../train/normalized-student.js';
import { type Parameter, vectorLength } from '../../train/parameter-vector.js';
import { latentParameters } from '../../train/trained-tensors.js';
import type { TrainingThreads } from '../../train/training-threads.js';
import type { TuningSamples } from '../../train/tuning-samples.js';
import { openTuningThreads } from '../../train/tuning-threads.js';
import type { Choices } from '../budget-loss.js';
import type { Pair } from '../sample-pair.js';
import type { ChannelCounts } from '../widths/width-graph.js';
import type { WidthId } from '../widths/width-table.js';
import { AffineLayout } from './affines.js';
import { type Affine, type Mixing, type MixingMode, mix, mixGradient } from './mixture.js';
import {
  type SearchedLayer,
  type SupernetBase,
  type SupernetGraphs,
  type SupernetOptions,
  supernetGraphs,
} from './supernet-graph.js';

export type Pairs = ReadonlyMap<WidthId, Pair>;

export interface SupernetSetup extends Omit<SupernetOptions, 'widthOf'> {
  readonly weightScales: Exclude<WeightScales, 'learned'>;
  readonly mixing: MixingMode;
  readonly threads: number;
  readonly augmentation: Augmentation | null;
  readonly seed: number;
  /** An existing folder. */
  readonly scratchDir: string;
  readonly signal?: AbortSignal | undefined;
}

export class Supernet {
  readonly base: SupernetBase;
  readonly graphs: SupernetGraphs;
  readonly latent: LatentParameters;
  readonly layout: AffineLayout;
  readonly #threads: TrainingThreads;
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #choices: Choices;
  readonly #shares: readonly (readonly number[])[];
  readonly #samples: TuningSamples;
  readonly #statisticsBatches: readonly (readonly number[])[];
  readonly #mixing: MixingMode;
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;

  private constructor(parts: {
    base: SupernetBase;
    graphs: SupernetGraphs;
    latent: LatentParameters;
    threads: TrainingThreads;
    choices: Choices;
    samples: TuningSamples;
    folder: string;
    setup: SupernetSetup;
  }) {
    const { base, graphs, latent, threads, choices, samples, folder, setup } = parts;
    this.base = base;
    this.graphs = graphs;
    this.latent = latent;
    this.#threads = threads;
    this.#parameters = new Map(graphs.training.parameters.map((parameter) => [parameter.name, parameter]));
    this.#choices = choices;
    this.#shares = latent.shares(threads.count);
    this.#samples = samples;
    this.#mixing = setup.mixing;
    this.#folder = folder;
    this.#statisticsBatches = statisticsBatches(samples.fitting, graphs.run.records, setup.seed);
    this.#signal = setup.signal;
    this.layout = new AffineLayout(
      graphs.searched.map(({ planned, width, matrix }) => {
        const { channels } = choices.get(width)!;
        return { layer: planned.layer.node.name, width, channels: matrix === null ? channels.slice(-1) : channels };
      }),
    );
  }

  /** @param base with the largest candidate of each width @param widthOf the searched width that a layer makes */
  static async open(
    base: SupernetBase,
    choices: Choices,
    widthOf: (layer: string) => WidthId | null,
    samples: TuningSamples,
    setup: SupernetSetup,
  ): Promise<Supernet> {
    const graphs = await supernetGraphs(base, samples, { ...setup, widthOf });
    const { parameters } = graphs.training;
    const trained = parameters.slice(0, graphs.trained.size);
    const latent = latentParameters(trained, graphs.trained, { ...base, weights: new Map() }, setup.weightScales);
    const folder = join(setup.scratchDir, 'supernet');
    await mkdir(folder);
    const { training, judging, teacher, run, moments, statistics } = graphs;
    const threads = await openTuningThreads(
      { training, teacher, run, judging, normalized: { moments, statistics } },
      samples.store,
      { weights: latent.weights, length: vectorLength(parameters) },
      { ...setup, scratchDir: folder },
    );
    return new Supernet({ base, graphs, latent, threads, choices, samples, folder, setup });
  }

  /** Samples that a step takes. */
  get batch(): number {
    return this.#samples.part * this.#threads.count;
  }

  /** Gradient of the last step by the latent parameters. */
  get gradient(): Float32Array {
    return this.#threads.gradient;
  }

  /** The parameters of the network that the supernet was made from: latent values, and what is mixed at zero. */
  async givenParameters(): Promise<Float32Array> {
    const values = this.#threads.parameters.slice();
    const { graphs, base } = this;
    for (const parameter of graphs.training.parameters) {
      const tensor = graphs.trained.get(parameter.name);
      if (tensor?.kind === 'weight') values.set(await readFloats(tensor.planned.layer.weight), parameter.offset);
      if (tensor?.kind === 'bias') values.set(await readFloats(tensor.planned.layer.bias!), parameter.offset);
      if (tensor?.kind === 'scale') values[parameter.offset] = base.scales.get(tensor.rangeOf)!.scale;
      if (tensor?.kind === 'gain') values.fill(1, parameter.offset, parameter.offset + parameter.length);
    }
    return values;
  }

  /**
   * Lets normalizations give values the means and variances that they have in the network with the given weights, unquantized.
   * @param values as {@link givenParameters} gives them; β and γ of layers that are not searched are written
   * @returns γ and β of the searched ones
   */
  async begin(values: Float32Array): Promise<Float32Array> {
    this.#threads.parameters.set(values);
    const moments = await this.#measure(MOMENTS);
    const affines = new Float32Array(this.layout.length);
    const positions = this.#searchedPositions();
    this.graphs.normalized.forEach((layer, i) => {
      const { mean, variance } = moments[i]!;
      const deviation = variance.map((v) => Math.sqrt(v + NORMALIZATION_EPSILON));
      const owner = positions.get(layer as SearchedLayer);
      if (owner === undefined) {
        values.set(deviation, this.#parameters.get(layer.gain)!.offset);
        values.set(mean, this.#parameters.get(layer.shift)!.offset);
        return;
      }
      for (const { gain, shift } of this.layout.of(affines, owner)) {
        gain.set(deviation.subarray(0, gain.length));
        shift.set(mean.subarray(0, shift.length));
      }
    });
    return affines;
  }

  /** Quantizes latent weights, for the steps that follow. */
  async quantize(latent: Float32Array): Promise<void> {
    this.#threads.latent.set(latent);
    this.latent.project(latent, this.#threads.parameters);
    await this.#threads.project(this.#shares, this.#signal);
  }

  /** Mixes candidates, for the steps that follow. */
  mix(pairs: Pairs, affines: Float32Array): void {
    this.graphs.searched.forEach((layer, owner) => {
      const pair = pairs.get(layer.width)!;
      const own = this.layout.of(affines, owner);
      const target = this.#mixingOf(layer, this.#threads.parameters);
      if (layer.matrix === null) mask(own[0]!, this.#channels(layer.width, pair), target);
      else mix(pair, own, this.#mixing, target);
    });
  }

  /**
   * The loss of a batch by what was quantized and mixed last.
   * @returns the loss, and its gradients by γ and β and by the shares of each pair
   */
  async step(
    records: readonly number[],
    seed: number,
    pairs: Pairs,
    affines: Float32Array,
  ): Promise<{ loss: number; byAffines: Float32Array; byShares: Map<WidthId, number[]> }> {
    const { part } = this.#samples;
    const parts = Array.from({ length: this.#threads.count }, (_, i) => records.slice(i * part, (i + 1) * part));
    const loss = await this.#threads.step(parts, seed, this.#signal);
    const byAffines = new Float32Array(affines.length);
    const byShares = new Map<WidthId, number[]>();
    this.graphs.searched.forEach((layer, owner) => {
      const pair = pairs.get(layer.width)!;
      const gradient = this.#mixingOf(layer, this.gradient);
      const own = this.layout.of(byAffines, owner);
      if (layer.matrix === null)
        mask({ gain: gradient.matrix, shift: gradient.shift }, this.#channels(layer.width, pair), {
          matrix: own[0]!.gain,
          shift: own[0]!.shift,
        });
      else {
        const before = byShares.get(layer.width) ?? pair.positions.map(() => 0);
        const further = mixGradient(pair, this.layout.of(affines, owner), this.#mixing, gradient, own);
        byShares.set(
          layer.width,
          before.map((value, i) => value + further[i]!),
        );
      }
      // What is mixed is no latent parameter.
      gradient.matrix.fill(0);
      gradient.shift.fill(0);
    });
    this.latent.chain(this.gradient, this.#threads.latent, this.#threads.parameters);
    return { loss, byAffines, byShares };
  }

  /**
   * The loss of each batch by what was quantized and mixed last, normalized by the batch, without variations of the samples.
   * @param batches each as large as a thread's part
   */
  losses(batches: readonly (readonly number[])[]): Promise<number[]> {
    return this.#threads.losses(batches, null, this.#signal);
  }

  /** What the quantized weights and everything else are, by what was quantized and mixed last. */
  values(): Float32Array {
    return this.#threads.parameters.slice();
  }

  /** γ and β of a normalized layer that is not searched, as views of a vector of parameters. */
  plainAffine({ gain, shift }: NormalizedLayer, values: Float32Array): Affine {
    return { gain: this.#view(gain, values), shift: this.#view(shift, values) };
  }

  /** Channels of each searched width: those of its largest candidate. */
  get channels(): ChannelCounts {
    return new Map([...this.#choices].map(([id, { channels }]) => [id, channels.at(-1)!]));
  }

  /** Moments of what goes into each normalization, by what was quantized and mixed last. */
  statistics(): Promise<Moments[]> {
    return this.#measure(STATISTICS);
  }

  async close(): Promise<void> {
    await this.#threads.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #measure(graph: string): Promise<Moments[]> {
    const channels = this.graphs.normalized.map(({ planned }) => planned.layer.layout.outputChannels);
    return measureMoments(this.#threads, graph, channels, this.#statisticsBatches, this.#signal);
  }

  #searchedPositions(): Map<SearchedLayer, number> {
    return new Map(this.graphs.searched.map((layer, i) => [layer, i]));
  }

  #channels(width: WidthId, { positions }: Pair): number {
    const { channels } = this.#choices.get(width)!;
    return Math.max(...positions.map((position) => channels[position]!));
  }

  #mixingOf({ matrix, gain, shift }: SearchedLayer, vector: Float32Array): Mixing {
    return { matrix: this.#view(matrix ?? gain, vector), shift: this.#view(shift, vector) };
  }

  #view(parameter: string, vector: Float32Array): Float32Array {
    const { offset, length } = this.#parameters.get(parameter)!;
    return vector.subarray(offset, offset + length);
  }
}

function mask({ gain, shift }: { gain: Float32Array; shift: Float32Array }, channels: number, target: Mixing): void {
  target.matrix.fill(0).set(gain.subarray(0, channels));
  target.shift.fill(0).set(shift.subarray(0, channels));
}
