/**
 * Runs a model over all samples from stop to stop, each node once per sample, so that going through a network layer by
 * layer costs one pass and not one per layer. START HERE: {@link PrefixRunner}; plan-segments.ts draws the cuts.
 */

import { TritforgeError } from '@tritforge/contracts';
import { type Laboratory, loadScratchModel, withOutputs } from '../calibrate/observed-model.js';
import { throwIfCanceled } from '../cancellation.js';
import { type FeedRun, trimPadding } from '../data/feeds.js';
import { type Model, readTensor, type Tensor } from '../ir/index.js';
import type { Feeds, HostTensor, Runtime } from '../runtime/runtime.js';
import { hostTensor, isStorable } from './host-bytes.js';
import { planSegments, type Segment, type SegmentPlan } from './plan-segments.js';
import type { SampleValues } from './sample-values.js';
import { segmentModel } from './segment-model.js';
import { ValueStore } from './value-store.js';

const DEFAULT_MEMORY_BYTES = 128 * 2 ** 20;

export interface PrefixOptions {
  /** What goes into the model, run by run; read once. All runs feed the same inputs. */
  readonly runs: AsyncIterable<FeedRun> | Iterable<FeedRun>;
  /** The values of the main graph that each call of {@link PrefixRunner.advance} will ask for, in the order of the calls. */
  readonly stops: readonly (readonly string[])[];
  readonly runtime: Runtime;
  /** An existing folder for scratch files; what is put there is removed again. */
  readonly scratchDir: string;
  /** Bytes of values that stay in memory; the others go to scratch files. Default 128 MiB. */
  readonly memoryBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Computes inner values of a model stop by stop, for every run, while initializers of the nodes still to come may change.
 *
 * Segments between stops run as models of their own, as written and on one thread, as calibration does: every value is
 * bit for bit what one run of the whole model gives. Values that a later segment or stop needs are stored, all others
 * dropped. A value that cannot be stored, because it is no tensor or of a type without a form in memory, is computed again
 * where it is needed; every other node runs once per run.
 *
 * One call at a time. After a call has failed or was canceled the runner is closed.
 *
 * @example
 * const runner = await PrefixRunner.open(model, { runs, stops: [['conv1.in'], ['conv2.in', 'conv2.out']], runtime, scratchDir });
 * await runner.advance(['conv1.in']);
 * const x = runner.values('conv1.in'); // until the next advance
 * await runner.advance(['conv2.in', 'conv2.out'], { initializers: new Map([['conv1.weight', quantized]]) });
 * await runner.close();
 */
export class PrefixRunner {
  readonly #model: Model;
  readonly #laboratory: Laboratory;
  readonly #signal: AbortSignal | undefined;
  readonly #stops: PrefixOptions['stops'];
  readonly #plan: SegmentPlan;
  readonly #store: ValueStore;
  /** How many samples and how much padding each run has. */
  readonly #runs: readonly FeedRun[];
  readonly #replaced = new Map<string, Tensor>();
  readonly #usedInitializers = new Set<string>();
  #next = 0;
  #isClosed = false;

  private constructor(
    model: Model,
    options: PrefixOptions,
    laboratory: Laboratory,
    plan: SegmentPlan,
    store: ValueStore,
    runs: readonly FeedRun[],
  ) {
    this.#model = model;
    this.#laboratory = laboratory;
    this.#signal = options.signal;
    this.#stops = options.stops;
    this.#plan = plan;
    this.#store = store;
    this.#runs = runs;
  }

  /**
   * Plans the segments and stores what the runs feed.
   * @param model not modified; its main graph must not change while the runner is open
   * @throws RangeError when a stop asks for a value that the main graph does not have
   * @throws TritforgeError MODEL_UNSUPPORTED_DTYPE when a stop asks for a value that cannot be stored, DATASET_EMPTY,
   * MODEL_RUN_FAILED, CANCELED, and what reading the runs throws
   */
  static async open(model: Model, options: PrefixOptions): Promise<PrefixRunner> {
    const { runtime, scratchDir } = options;
    const laboratory: Laboratory = { runtime, scratchDir, options: { threads: 1, optimization: 'none' } };
    const store = await ValueStore.create(scratchDir, options.memoryBytes ?? DEFAULT_MEMORY_BYTES);
    try {
      const opening = new Opening(model, options, laboratory, store);
      await opening.takeRuns();
      return new PrefixRunner(model, options, laboratory, opening.plan!, store, opening.runs);
    } catch (error) {
      await store.remove();
      throw error;
    }
  }

  /** Number of runs. */
  get runCount(): number {
    return this.#runs.length;
  }

  /**
   * Computes the values of the next stop for every run. What earlier stops asked for, and this and later ones do not, is
   * gone afterwards.
   * @param values those that `stops` names at this place, in any order
   * @param replaced.initializers tensors that take the place of the model's own from now on, of the same dtype and shape
   * @throws RangeError when the values are not those of the next stop, or an initializer cannot be replaced any more
   * @throws TritforgeError MODEL_RUN_FAILED, CANCELED
   */
  async advance(
    values: readonly string[],
    replaced: { readonly initializers?: ReadonlyMap<string, Tensor> } = {},
  ): Promise<void> {
    try {
      this.#check(values);
      for (const [name, tensor] of replaced.initializers ?? []) this.#replace(name, tensor);
      const stop = this.#next++;
      if (stop > 0) await this.#store.release(2 * stop - 1);
      await this.#run(this.#plan.segments[stop]!);
      await this.#store.release(2 * stop);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * A value that the last call of {@link advance} asked for; readable until the next call.
   * @throws RangeError when it is not there
   */
  values(name: string): SampleValues {
    const isAsked = this.#next > 0 && this.#stops[this.#next - 1]!.includes(name);
    if (this.#isClosed || !isAsked) throw new RangeError(`the last stop did not ask for value "${name}"`);
    const { runCount } = this;
    if (!this.#store.has(name)) {
      const tensor = this.#replaced.get(name) ?? this.#model.graph.initializers.get(name)!;
      const read = async () => hostTensor(tensor.dtype, tensor.shape, await readTensor(tensor));
      return { runCount, shape: () => tensor.shape, read };
    }
    return {
      runCount,
      shape: (run) => {
        const shape = this.#store.shape(name, run);
        return trimPadding({ dtype: 'uint8', shape, data: new Uint8Array() }, this.#runs[run]!).shape;
      },
      read: async (run) => trimPadding(await this.#store.read(name, run), this.#runs[run]!),
    };
  }

  /** The value in one run; see {@link values}. */
  read(name: string, run: number): Promise<HostTensor> {
    return this.values(name).read(run);
  }

  /** Removes the scratch files. May be called again. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#store.remove();
  }

  #check(values: readonly string[]): void {
    if (this.#isClosed) throw new RangeError('the runner is closed');
    const stop = this.#stops[this.#next];
    if (stop === undefined) throw new RangeError('there is no stop left');
    const wanted = new Set(stop);
    if (values.length !== stop.length || values.some((name) => !wanted.has(name)))
      throw new RangeError(`the next stop is [${stop.join(', ')}], not [${values.join(', ')}]`);
  }

  #replace(name: string, tensor: Tensor): void {
    const own = this.#model.graph.initializers.get(name);
    if (own === undefined) throw new RangeError(`the main graph has no initializer "${name}"`);
    if (own.dtype !== tensor.dtype || own.shape.join() !== tensor.shape.join())
      throw new RangeError(
        `initializer "${name}" is ${own.dtype} [${own.shape}], not ${tensor.dtype} [${tensor.shape}]`,
      );
    if (this.#usedInitializers.has(name))
      throw new RangeError(`initializer "${name}" was used by a node that ran already`);
    this.#replaced.set(name, tensor);
  }

  async #run(segment: Segment): Promise<void> {
    if (segment.nodes.length === 0) return;
    const model = segmentModel(this.#model, segment, (name) => this.#store.dtype(name), this.#replaced);
    for (const name of model.graph.initializers.keys()) this.#usedInitializers.add(name);
    const session = await loadScratchModel(model, this.#laboratory);
    try {
      for (let run = 0; run < this.runCount; run++) {
        throwIfCanceled(this.#signal);
        const outputs = await session.run(await this.#feeds(segment, run));
        for (const name of segment.outputs)
          await this.#store.append(name, this.#plan.expiry.get(name)!, outputs.get(name)!);
      }
    } finally {
      await session.release();
    }
  }

  async #feeds(segment: Segment, run: number): Promise<Feeds> {
    const feeds = new Map<string, HostTensor>();
    for (const name of segment.inputs) feeds.set(name, await this.#store.read(name, run));
    return feeds;
  }
}

/** The first pass: which inputs are fed, hence the plan, and the feeds that it needs in the store. */
class Opening {
  readonly #model: Model;
  readonly #options: PrefixOptions;
  readonly #laboratory: Laboratory;
  readonly #store: ValueStore;
  readonly runs: FeedRun[] = [];
  plan: SegmentPlan | null = null;

  constructor(model: Model, options: PrefixOptions, laboratory: Laboratory, store: ValueStore) {
    this.#model = model;
    this.#options = options;
    this.#laboratory = laboratory;
    this.#store = store;
  }

  async takeRuns(): Promise<void> {
    for await (const { feeds, samples, padding } of this.#options.runs) {
      throwIfCanceled(this.#options.signal);
      this.plan ??= await this.#planFor(new Set(feeds.keys()));
      for (const [name, tensor] of feeds) {
        const expiry = this.plan.expiry.get(name);
        if (expiry !== undefined) await this.#store.append(name, expiry, tensor);
      }
      this.runs.push({ feeds: new Map(), samples, padding });
    }
    if (this.plan === null)
      throw new TritforgeError('DATASET_EMPTY', 'the dataset has no samples', { field: 'datasets' });
  }

  /** Values that turn out not to be storable change the plan, which may store others instead. */
  async #planFor(fed: ReadonlySet<string>): Promise<SegmentPlan> {
    const { stops } = this.#options;
    const unstorable = new Set<string>();
    for (;;) {
      const plan = planSegments(this.#model.graph, { fed, stops, unstorable });
      const found = await this.#unstorable(plan.segments.flatMap(({ outputs }) => outputs));
      if (found.length === 0) return plan;
      const asked = found.find((name) => stops.some((stop) => stop.includes(name)));
      if (asked !== undefined) throw notStorable(asked);
      for (const name of found) unstorable.add(name);
    }
  }

  /** Which of the values are no tensors, or of a type without a form in memory. Loading is enough to know. */
  async #unstorable(values: readonly string[]): Promise<string[]> {
    if (values.length === 0) return [];
    const session = await loadScratchModel(withOutputs(this.#model, values), this.#laboratory);
    await session.release();
    return session.outputs.filter(({ dtype }) => !isStorable(dtype)).map(({ name }) => name);
  }
}

function notStorable(name: string): TritforgeError {
  return new TritforgeError('MODEL_UNSUPPORTED_DTYPE', `value "${name}" is not a tensor of a type that can be read`, {
    remediation: 'Exclude the layer that uses this value.',
  });
}
