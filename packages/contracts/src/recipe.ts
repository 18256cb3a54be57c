import Type, { type Static } from 'typebox';
import { FineTune, type ResolvedFineTune, resolveFineTune } from './fine-tune.js';
import { LayerMatch } from './layer-match.js';
import { Nce, type ResolvedNce, resolveNce } from './nce.js';

/** Number of weights that share one scale. */
export const GroupSize = Type.Enum([4, 8, 16, 32, 64, 128]);
export type GroupSize = 4 | 8 | 16 | 32 | 64 | 128;

/** Bits of quantized weights: 2 is ternary, or uniform where there are no groups, 4 is int4 in groups, 8 is int8. */
export const WeightBits = Type.Union([Type.Literal(2), Type.Literal(4), Type.Literal(8)]);
export type WeightBits = Static<typeof WeightBits>;

/** Bits of a quantized activation. */
export const ActivationBits = Type.Union([Type.Literal(8), Type.Literal(4), Type.Literal(3), Type.Literal(2)]);
export type ActivationBits = Static<typeof ActivationBits>;

/** Ternary planes of a weight: a second one approximates what the first one leaves. */
export const Planes = Type.Union([Type.Literal(1), Type.Literal(2)]);
export type Planes = Static<typeof Planes>;

/** How the range of a quantized activation follows from its values on the calibration data. */
export const ActivationRange = Type.Enum(['minmax', 'percentile', 'mse', 'entropy', 'dfp', 'auto'], {
  default: 'mse',
  description:
    'minmax: all values. percentile: without the outermost 0.01 % at either end, 0.1 % with 4 bits, 1 % with 2. mse: the least ' +
    'squared error. ' +
    'entropy: the least Kullback-Leibler divergence. dfp: dynamic fixed point, the scale a power of two. auto: for each ' +
    'value the one of them with which the layers that take it in lose least, as measured on calibration data.',
});
export type ActivationRange = 'minmax' | 'percentile' | 'mse' | 'entropy' | 'dfp' | 'auto';

/** How many bits a value keeps that narrow layers and something else take in. */
export const Shortcuts = Type.Enum(['wide', 'narrow'], {
  description:
    'Of values that layers take in with 4, 3 or 2 bits and something else takes in too, such as the addition of a residual connection. ' +
    'wide: they keep 8 bits, and the layers take in a second quantization of them, with a range of its own. narrow: all take in the ' +
    'few bits. wide with bits 3 and 2 unless told, else narrow.',
});
export type Shortcuts = 'wide' | 'narrow';

/**
 * What a selector changes: `bits` 2 is ternary, or uniform with the method `uniform` or the group size null, 4 is int4 in groups, 8 is
 * int8, null keeps the layer in floating point.
 */
export const LayerSettings = Type.Object(
  {
    bits: Type.Optional(Type.Union([...WeightBits.anyOf, Type.Null()])),
    groupSize: Type.Optional(
      Type.Union([GroupSize, Type.Null()], {
        description:
          'With 2 bits null is one scale per output channel: uniform weights, as the method uniform has them. A number is ternary ' +
          'weights in groups, with that method too.',
      }),
    ),
    planes: Type.Optional(
      Type.Union([Type.Literal(1), Type.Literal(2)], { description: 'Ternary planes of the weights.' }),
    ),
    activationBits: Type.Optional(Type.Union(ActivationBits.anyOf, { description: 'Bits of the input of the layer.' })),
    exclude: Type.Optional(Type.Boolean({ description: 'Keep the layer as it is, activations included.' })),
  },
  { additionalProperties: false, minProperties: 1 },
);
export type LayerSettings = Static<typeof LayerSettings>;

/** How weights become ternary. */
export const Solver = Type.Enum(['exact', 'weighted', 'feedback'], {
  default: 'feedback',
  description:
    'exact: the least squared error of each group of weights. weighted: weights count by the second moment of their inputs. ' +
    'feedback: what a group loses is made good by the groups after it, by all second moments of the inputs. feedback unless ' +
    'told; exact in the paper mode and where there are no calibration data.',
});
export type Solver = 'exact' | 'weighted' | 'feedback';

/** What quantized weights are to come near to. */
const WeightTarget = Type.Enum(['weights', 'outputs'], {
  description:
    'weights: the original weights. outputs: weights regressed so that the inputs which a layer gets from the quantized network ' +
    'give the outputs of the original one; needs calibration data. outputs with the solver feedback unless told, else weights.',
});
export type WeightTarget = 'weights' | 'outputs';

/** Which layers get a second ternary plane. */
export const ResidualPlanes = Type.Union(
  [Type.Number({ minimum: 0, maximum: 1 }), Type.Array(LayerMatch, { maxItems: 1000 })],
  {
    default: 0,
    description:
      'Layers with a second ternary plane on what the first one leaves: at most this share of the weights of ternary layers, ' +
      'spent where a weight does the most damage with one plane, or the layers that a selector of the list matches. ' +
      '`planes` of a rule has the last word.',
  },
);
export type ResidualPlanes = Static<typeof ResidualPlanes>;

export const LayerRule = Type.Object(
  { match: LayerMatch, set: LayerSettings },
  {
    additionalProperties: false,
    description: 'Later rules override earlier ones; a rule that matches no layer is an error.',
  },
);
export type LayerRule = Static<typeof LayerRule>;

/** How an artifact writes the quantized network. */
export const ArtifactProfile = Type.Enum(['portable', 'compat', 'accelerated', 'ort-nbits'], {
  description:
    'portable and compat are standard operators alone. accelerated calls operators of the domain `tritforge` and defines them ' +
    "in standard operators, for a runtime that has no kernels for them. ort-nbits calls onnxruntime's MatMulNBits for linear " +
    'layers whose groups it can multiply.',
});
export type ArtifactProfile = 'portable' | 'compat' | 'accelerated' | 'ort-nbits';

/** What a search over precisions is to reach, and what it may cost. */
export const Search = Type.Object(
  {
    maxAccuracyDrop: Type.Optional(
      Type.Number({
        minimum: 0,
        description:
          'Find the smallest file that is at most so much worse than the original, in the unit of the metric on the evaluation ' +
          'data; without evaluation data in points of agreement with the original, on calibration data kept aside. 1 where no ' +
          'other limit and no gate on the drop is given.',
      }),
    ),
    maxBytes: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Size of the first artifact. Alone: find the most accurate that fits.' }),
    ),
    maxBitsPerWeight: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 32,
        description: 'Of the quantized layers. Alone: find the most accurate that fits.',
      }),
    ),
    maxLatencyMs: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        description:
          'Median milliseconds of one run of the first artifact in the engine that it is made for, on the machine that does the ' +
          'job, with as many threads as the job has. Alone: find the most accurate that is fast enough. Precisions differ in ' +
          'speed with the profile accelerated, and for linear layers with ort-nbits; in the others all of them run as int8.',
      }),
    ),
    evaluations: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        default: 24,
        description:
          'Networks to quantize and measure at most. The same number gives the same result, unless the latency is limited.',
      }),
    ),
    minutes: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 10_080,
        description: 'Time for the search, after which the best so far is taken. Not limited when left out.',
      }),
    ),
  },
  { additionalProperties: false, description: 'For the method auto.' },
);
export type Search = Static<typeof Search>;

/** A statistic of the outputs of a layer. */
const Correction = Type.Enum(['mean', 'variance']);
export type Correction = 'mean' | 'variance';

/** What to do with a model. Every field has a default; `{}` is FGQ with N = 64 and 8-bit activations. */
export const Recipe = Type.Object(
  {
    method: Type.Optional(
      Type.Enum(['fgq', 'int4', 'int8', 'uniform', 'nce', 'auto'], {
        default: 'fgq',
        description:
          'fgq: fine-grained ternary weights. int4: 4-bit weights in groups. int8: the static int8 baseline. uniform: 2-bit weights, ' +
          '-3, -1, 1 or 3 times one scale per output channel, and 2-bit activations unless told. nce: uniform, in a network with as many ' +
          'channels in each layer as a search finds best, trained to give the outputs of the original. auto: a search by measurement for ' +
          'the precision of every layer that no rule settles.',
      }),
    ),
    search: Type.Optional(Search),
    nce: Type.Optional(Nce),
    sensitivity: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Measure what each layer costs the network at each precision, and why, and recommend what to change. Needs calibration ' +
          'data. The method auto always does.',
      }),
    ),
    paper: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'FGQ exactly as published, for comparison: activations in dynamic fixed point, the exact solver, one plane, the first ' +
          'and the last layer at 8 bits. Recipes that ask for anything else along with it are refused.',
      }),
    ),
    weights: Type.Optional(
      Type.Object(
        {
          groupSize: Type.Optional(GroupSize),
          solver: Type.Optional(Solver),
          target: Type.Optional(WeightTarget),
          residualPlanes: Type.Optional(ResidualPlanes),
        },
        { additionalProperties: false },
      ),
    ),
    activations: Type.Optional(
      Type.Object(
        {
          bits: Type.Optional(
            Type.Union([...ActivationBits.anyOf, Type.Null()], {
              description:
                'Bits of the inputs of layers; 8 unless told, 2 with the methods uniform and nce. 4, 3 and 2: the first and the last layer, ' +
                'and layers that another method keeps at int8, have 8-bit inputs all the same unless a rule says otherwise. null ' +
                'quantizes weights only.',
            }),
          ),
          range: Type.Optional(ActivationRange),
          shortcuts: Type.Optional(Shortcuts),
          minimumSqnrDb: Type.Optional(
            Type.Union([Type.Number({ minimum: 0, maximum: 100 }), Type.Null()], {
              description:
                'With bits 4, 3 or 2: a layer whose output has less signal to noise than this, in dB and by the noise of its coarse ' +
                'input alone, keeps 8 bits there, unless a rule asks for fewer. null: whatever it costs. 20 with 4 bits, unless ' +
                'told, which is noise of a hundredth of the power; null with 3 and 2.',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    firstLast: Type.Optional(
      Type.Object(
        { bits: Type.Optional(Type.Union([...WeightBits.anyOf, Type.Null()], { default: 8 })) },
        { additionalProperties: false, description: 'Weight bits of the first and the last quantizable layer.' },
      ),
    ),
    correction: Type.Optional(
      Type.Array(Correction, {
        maxItems: 2,
        uniqueItems: true,
        description:
          'What is matched per output channel with the original network on the calibration data, and folded into scales and ' +
          'biases. mean and variance unless told; nothing with the solver exact. With the target ' +
          'outputs layers that end a residual branch are fitted to the sum behind them, and their variance is not matched.',
      }),
    ),
    equalize: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Scale channels between layers, and back in the layers behind, so that they are equally large, before anything is ' +
          'quantized. Helps where few channels dominate a value; behind Clip it needs calibration data.',
      }),
    ),
    fineTune: Type.Optional(FineTune),
    layers: Type.Optional(Type.Array(LayerRule, { maxItems: 1000 })),
    artifacts: Type.Optional(
      Type.Array(ArtifactProfile, { minItems: 1, maxItems: 4, uniqueItems: true, default: ['portable'] }),
    ),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1, default: 0 })),
  },
  { additionalProperties: false, $id: 'Recipe' },
);
export type Recipe = Static<typeof Recipe>;

/** A recipe with every default filled in; what the engine works from and what reports show. */
export interface ResolvedRecipe {
  method: 'fgq' | 'int4' | 'int8' | 'uniform' | 'nce' | 'auto';
  /** Null unless the method is auto. */
  search: (Search & { evaluations: number }) | null;
  /** Null unless channels are searched. */
  nce: ResolvedNce | null;
  sensitivity: boolean;
  paper: boolean;
  weights: { groupSize: GroupSize; solver: Solver; target: WeightTarget; residualPlanes: ResidualPlanes };
  activations: {
    bits: ActivationBits | null;
    range: ActivationRange;
    shortcuts: Shortcuts;
    minimumSqnrDb: number | null;
  };
  firstLast: { bits: WeightBits | null };
  correction: Correction[];
  equalize: boolean;
  /** Null unless asked for. */
  fineTune: ResolvedFineTune | null;
  layers: LayerRule[];
  artifacts: ArtifactProfile[];
  seed: number;
}

/** Whether the number of channels of each layer is to be found; a training follows. */
function searchesChannels({ method, nce }: Recipe): boolean {
  return method === 'nce' || nce !== undefined;
}

/** Whether weights have 2 bits and one scale for each output channel where no rule says otherwise. */
export function isUniform(method: ResolvedRecipe['method']): boolean {
  return method === 'uniform' || method === 'nce';
}

/** So few that everybody knows that they cost much. */
function isOfFewBits(bits: ActivationBits | null): boolean {
  return bits === 3 || bits === 2;
}

/** The layers that this concerns are those with inputs of 4 bits and fewer; who asks for 3 or 2 knows what they cost. */
function minimumSqnrDb({ paper, activations }: Recipe): number | null {
  if (activations?.minimumSqnrDb !== undefined) return activations.minimumSqnrDb;
  return activations?.bits === 4 && !paper ? 20 : null;
}

/** Fills in the defaults of a recipe that matches the schema. Artifact profiles come back in a fixed order. */
export function resolveRecipe(recipe: Recipe): ResolvedRecipe {
  const wanted = new Set(recipe.artifacts ?? ['portable']);
  const method = recipe.method ?? 'fgq';
  const fineTune = recipe.fineTune ?? (searchesChannels(recipe) ? {} : undefined);
  const solver = recipe.weights?.solver ?? (recipe.paper ? 'exact' : 'feedback');
  const activationBits = recipe.activations?.bits === undefined ? (isUniform(method) ? 2 : 8) : recipe.activations.bits;
  const corrected = recipe.correction ?? (solver === 'exact' ? [] : ['mean', 'variance']);
  return {
    method,
    search: method === 'auto' ? { evaluations: 24, ...recipe.search } : null,
    nce: searchesChannels(recipe) ? resolveNce(recipe.nce ?? {}) : null,
    sensitivity: method === 'auto' || (recipe.sensitivity ?? false),
    paper: recipe.paper ?? false,
    weights: {
      groupSize: recipe.weights?.groupSize ?? 64,
      solver,
      target: recipe.weights?.target ?? (solver === 'feedback' ? 'outputs' : 'weights'),
      residualPlanes: recipe.weights?.residualPlanes ?? 0,
    },
    activations: {
      bits: activationBits,
      range: recipe.activations?.range ?? (recipe.paper ? 'dfp' : 'mse'),
      shortcuts: recipe.activations?.shortcuts ?? (isOfFewBits(activationBits) && !recipe.paper ? 'wide' : 'narrow'),
      minimumSqnrDb: minimumSqnrDb(recipe),
    },
    firstLast: { bits: recipe.firstLast?.bits === undefined ? 8 : recipe.firstLast.bits },
    correction: (['mean', 'variance'] as const).filter((kind) => corrected.includes(kind)),
    equalize: recipe.equalize ?? false,
    fineTune: fineTune === undefined ? null : resolveFineTune(fineTune, isUniform(method), searchesChannels(recipe)),
    layers: recipe.layers ?? [],
    artifacts: (['portable', 'compat', 'accelerated', 'ort-nbits'] as const).filter((profile) => wanted.has(profile)),
    seed: recipe.seed ?? 0,
  };
}
