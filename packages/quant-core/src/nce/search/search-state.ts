/** Everything that changes in a search: the supernet, what it has learned, and the candidates. */
import { mulberry32 } from '../../seeded-random.js';
import type { TrainingState } from '../../train/checkpoint.js';
import { normalNumbers } from '../../train/initial-weights.js';
import { Optimiser, type OptimiserSettings, type OptimiserState, type ParameterGroup } from '../../train/optimisers.js';
import { type Candidates, expanded, startCandidates } from '../candidates.js';
import { widthsOfLayers } from '../search-space.js';
import { type AffineLayout, grownAffines } from '../supernet/affines.js';
import { grownVector } from '../supernet/grow.js';
import { Supernet } from '../supernet/supernet.js';
import type { WidthId } from '../widths/width-table.js';
import type { SearchEpoch, Searched, SearchOptions } from './search-options.js';

/** Adam on logits. Source: Dong and Yang 2019 (TAS), §4.1, for the rates of decay. */
const LOGIT_OPTIMISER: OptimiserSettings = { kind: 'adamw', betas: [0.5, 0.999], epsilon: 1e-8 };
const WEIGHT_OPTIMISER: OptimiserSettings = { kind: 'adamw', betas: [0.9, 0.999], epsilon: 1e-8 };
/** Standard deviation of logits at the start. */
const LOGIT_DEVIATION = 0.01;

/** What is beside the vectors of a checkpoint. */
export interface SearchNotes {
  readonly seconds: number;
  readonly steps: number;
  readonly choices: readonly {
    readonly id: WidthId;
    readonly channels: readonly number[];
    readonly logits: readonly number[];
  }[];
  readonly course: readonly SearchEpoch[];
}

/** What is trained, each by an optimiser. */
const TRAINED = ['latent', 'affines', 'logits'] as const;
type Trained = (typeof TRAINED)[number];

type Choices = Map<WidthId, Candidates>;
type Optimisers = Readonly<Record<Trained, Optimiser>>;
type Memories = Readonly<Record<Trained, OptimiserState>>;

/** Vectors that the rates of learning were taken from. */
interface Sizes {
  readonly values: Float32Array;
  readonly affines: Float32Array;
}

interface Fields {
  supernet: Supernet;
  choices: Choices;
  latent: Float32Array;
  affines: Float32Array;
  sizes: Sizes;
  optimisers: Optimisers;
}

export class SearchState {
  readonly course: SearchEpoch[];
  readonly #searched: Searched;
  readonly #options: SearchOptions;
  #fields: Fields;

  private constructor(searched: Searched, options: SearchOptions, fields: Fields, course: readonly SearchEpoch[]) {
    this.course = [...course];
    this.#searched = searched;
    this.#options = options;
    this.#fields = fields;
  }

  /** With the weights of the network, and candidates about equally likely. */
  static async begin(searched: Searched, options: SearchOptions): Promise<SearchState> {
    const normal = normalNumbers(mulberry32(options.seed));
    const choices: Choices = new Map(
      searched.searched.map((id) => {
        const width = searched.graph.widthOf(id);
        return [id, startCandidates(width, () => LOGIT_DEVIATION * normal(), options.shares)];
      }),
    );
    const supernet = await openSupernet(searched, options, choices);
    const values = await supernet.givenParameters();
    const affines = await supernet.begin(values);
    const sizes = { values, affines: affines.slice() };
    const optimisers = optimisersOf(supernet, choices, sizes, options);
    const fields = { supernet, choices, latent: supernet.latent.from(values), affines, sizes, optimisers };
    return new SearchState(searched, options, fields, []);
  }

  /** Where an earlier attempt stopped. */
  static async restore(
    searched: Searched,
    options: SearchOptions,
    { vectors, notes }: TrainingState<SearchNotes>,
  ): Promise<SearchState> {
    const choices: Choices = new Map(
      notes.choices.map(({ id, channels, logits }) => [id, { channels, logits: Float64Array.from(logits) }]),
    );
    const supernet = await openSupernet(searched, options, choices);
    const sizes = { values: vectors.get('sizes')!, affines: vectors.get('sizes of affines')! };
    const memoryOf = (name: Trained): OptimiserState => ({
      steps: notes.steps,
      moments: [0, 1].map((i) => vectors.get(momentName(name, i))!),
    });
    const memories = { latent: memoryOf('latent'), affines: memoryOf('affines'), logits: memoryOf('logits') };
    const optimisers = optimisersOf(supernet, choices, sizes, options, memories);
    const [latent, affines] = [vectors.get('latent')!, vectors.get('affines')!];
    return new SearchState(searched, options, { supernet, choices, latent, affines, sizes, optimisers }, notes.course);
  }

  get supernet(): Supernet {
    return this.#fields.supernet;
  }

  get choices(): ReadonlyMap<WidthId, Candidates> {
    return this.#fields.choices;
  }

  get latent(): Float32Array {
    return this.#fields.latent;
  }

  /** γ and β of the candidates. */
  get affines(): Float32Array {
    return this.#fields.affines;
  }

  /** One step of the weights, and of γ and β. */
  learn(byLatent: Float32Array, byAffines: Float32Array, rate: number): void {
    const { latent, affines, optimisers } = this.#fields;
    optimisers.latent.step(latent, byLatent, rate);
    optimisers.affines.step(affines, byAffines, rate);
  }

  /** One step of the likelihoods. @param gradient by the logits of each width */
  choose(gradient: ReadonlyMap<WidthId, Float64Array>): void {
    const { choices, optimisers } = this.#fields;
    const all = [...choices];
    const vector = Float32Array.from(all.flatMap(([, { logits }]) => [...logits]));
    const slopes = Float32Array.from(all.flatMap(([id]) => [...gradient.get(id)!]));
    optimisers.logits.step(vector, slopes, this.#options.logits.learningRate);
    let first = 0;
    for (const [, { logits }] of all) {
      logits.set(vector.subarray(first, first + logits.length));
      first += logits.length;
    }
  }

  /** Lets larger candidates join; the supernet is made anew where they do. */
  async expand(): Promise<void> {
    const { graph } = this.#searched;
    const { expansion, seed } = this.#options;
    const { supernet: before, choices, optimisers } = this.#fields;
    const after = new Map([...choices].map(([id, own]) => [id, expanded(graph.widthOf(id), own, expansion)]));
    if ([...after].every(([id, own]) => own === choices.get(id))) return;
    await before.close();
    const supernet = await openSupernet(this.#searched, this.#options, after);
    const normal = normalNumbers(mulberry32(seed + GROWTH_STRIDE * this.course.length));
    const counts = [...choices].map(([id, own]) => [own.logits.length, after.get(id)!.logits.length] as const);
    const growth: Readonly<Record<Trained, (vector: Float32Array, isMemory: boolean) => Float32Array>> = {
      latent: (vector, isMemory) => grownVector(vector, before, supernet, isMemory ? () => 0 : normal, graph),
      affines: (vector, isMemory) => grownAffines(vector, before.layout, supernet.layout, isMemory),
      logits: (vector) => grownLogits(vector, counts),
    };
    const memoryOf = (name: Trained): OptimiserState => {
      const { steps, moments } = optimisers[name].state;
      return { steps, moments: moments.map((vector) => growth[name](vector, true)) };
    };
    const memories = { latent: memoryOf('latent'), affines: memoryOf('affines'), logits: memoryOf('logits') };
    const latent = growth.latent(this.latent, false);
    const affines = growth.affines(this.affines, false);
    await supernet.quantize(latent);
    const sizes = { values: supernet.values(), affines: affines.slice() };
    const optimisersAfter = optimisersOf(supernet, after, sizes, this.#options, memories);
    this.#fields = { supernet, choices: after, latent, affines, sizes, optimisers: optimisersAfter };
  }

  /** All of it, for a checkpoint. */
  saved(seconds: number): TrainingState<SearchNotes> {
    const { choices, latent, affines, sizes, optimisers } = this.#fields;
    const moments = TRAINED.flatMap((name) =>
      optimisers[name].state.moments.map((vector, i) => [momentName(name, i), vector] as const),
    );
    const vectors = new Map([
      ['latent', latent],
      ['affines', affines],
      ['sizes', sizes.values],
      ['sizes of affines', sizes.affines],
      ...moments,
    ]);
    const described = [...choices].map(([id, { channels, logits }]) => ({ id, channels, logits: [...logits] }));
    return {
      vectors,
      notes: { seconds, steps: optimisers.latent.state.steps, choices: described, course: this.course },
    };
  }
}

/** Between the seeds of new weights. */
const GROWTH_STRIDE = 104_729;

function momentName(trained: Trained, i: number): string {
  return `moment ${i} of ${trained}`;
}

async function openSupernet({ graph, searched, baseOf }: Searched, options: SearchOptions, choices: Choices) {
  const base = await baseOf(new Map([...choices].map(([id, { channels }]) => [id, channels.at(-1)!])));
  const widths = widthsOfLayers(graph, searched);
  return Supernet.open(base, choices, (layer) => widths.get(layer) ?? null, options.samples, options);
}

function optimisersOf(
  { latent, layout }: Supernet,
  choices: Choices,
  { values, affines }: Sizes,
  { logits: { decay } }: SearchOptions,
  memories?: Memories,
): Optimisers {
  const candidates = [...choices.values()].reduce((sum, { logits }) => sum + logits.length, 0);
  const groups = latent.groups(values, WEIGHT_OPTIMISER);
  const ofLogits = [{ begin: 0, end: candidates, rate: 1, decay }];
  return {
    latent: new Optimiser(WEIGHT_OPTIMISER, groups, values.length, memories?.latent),
    affines: new Optimiser(WEIGHT_OPTIMISER, groupsOf(layout, affines), affines.length, memories?.affines),
    logits: new Optimiser(LOGIT_OPTIMISER, ofLogits, candidates, memories?.logits),
  };
}

/** γ and β learn relative to the size of γ. */
function groupsOf(layout: AffineLayout, affines: Float32Array): ParameterGroup[] {
  return layout.owners.flatMap((_, owner) =>
    layout.of(affines, owner).map(({ gain, shift }) => {
      const size = Math.sqrt(gain.reduce((sum, value) => sum + value * value, 0) / gain.length);
      const begin = (gain.byteOffset - affines.byteOffset) / gain.BYTES_PER_ELEMENT;
      return { begin, end: begin + gain.length + shift.length, rate: size, decay: 0 };
    }),
  );
}

/** @param counts of each width, before and after */
function grownLogits(vector: Float32Array, counts: readonly (readonly [had: number, has: number])[]): Float32Array {
  let first = 0;
  const pieces = counts.flatMap(([had, has]) => {
    first += had;
    return [...vector.subarray(first - had, first), ...new Array<number>(has - had).fill(0)];
  });
  return Float32Array.from(pieces);
}
