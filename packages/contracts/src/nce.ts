import Type, { type Static } from 'typebox';

/** How much of something a network may have. */
const Limit = (what: string) =>
  Type.Union(
    [
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 100,
        description: `Times the ${what} of the network that was uploaded.`,
      }),
      Type.Object(
        { atMost: Type.Integer({ minimum: 1 }) },
        { additionalProperties: false, description: `So many ${what}.` },
      ),
    ],
    { default: 1 },
  );

/** What a network with other numbers of channels may cost. */
export const NceBudgets = Type.Object(
  {
    macs: Type.Optional(Limit('multiply-accumulates of a sample')),
    parameters: Type.Optional(Limit('parameters')),
    bytes: Type.Optional(
      Type.Union(
        [
          Type.Number({
            exclusiveMinimum: 0,
            maximum: 100,
            description:
              'Times the size that the first artifact has with the channels of the network that was uploaded.',
          }),
          Type.Object(
            { atMost: Type.Integer({ minimum: 1 }) },
            { additionalProperties: false, description: 'So many bytes.' },
          ),
        ],
        { description: 'Of the first artifact. Not limited when left out.' },
      ),
    ),
  },
  {
    additionalProperties: false,
    description:
      'No more multiply-accumulates and parameters than the network that was uploaded unless told. The result keeps to all of them.',
  },
);
export type NceBudgets = Static<typeof NceBudgets>;
export type NceLimit = number | { atMost: number };

/** When larger numbers of channels are tried. */
const NceExpansion = Type.Object(
  {
    threshold: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.3,
        description: 'A larger candidate joins those of a width while the largest of them is likelier than this.',
      }),
    ),
    step: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 10,
        default: 0.1,
        description: 'By how much it is larger, as a share of the channels that the network came with.',
      }),
    ),
    cap: Type.Optional(
      Type.Number({ minimum: 1, maximum: 10, default: 2, description: 'The most channels, as a multiple of those.' }),
    ),
  },
  { additionalProperties: false },
);

/** Neural channel expansion: a search for the number of channels of each layer. */
export const Nce = Type.Object(
  {
    epochs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description:
          'Passes of the search over the training data. The same number gives the same artifact, bytes included.',
      }),
    ),
    minutes: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 10_080,
        description: 'Time for the search in place of epochs. 30 where neither is given.',
      }),
    ),
    budgets: Type.Optional(NceBudgets),
    budgetWeight: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1000,
        default: 2,
        description: 'What a budget that is not kept to counts in the search beside the loss of the network.',
      }),
    ),
    learningRate: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 10,
        default: 0.01,
        description:
          'Of weights while searching, relative to their size, at its highest; then along half a cosine to nothing.',
      }),
    ),
    choiceRate: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 10,
        default: 0.01,
        description: 'By how much a step changes the logits of candidates.',
      }),
    ),
    bilevel: Type.Optional(
      Type.Boolean({
        default: true,
        description:
          'Choose by one half of the samples, and train weights on the other one. false: both by all samples at once, which takes half ' +
          'the time.',
      }),
    ),
    mixing: Type.Optional(
      Type.Enum(['interpolate', 'mask'], {
        default: 'mask',
        description:
          'How two candidates are mixed in a step. interpolate: the channels of the smaller one are spread over those of the larger one. ' +
          'mask: they are its first ones.',
      }),
    ),
    warmUp: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.1,
        description: 'Share of the search before candidates may join.',
      }),
    ),
    candidates: Type.Optional(
      Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 10 }), {
        minItems: 1,
        maxItems: 20,
        default: [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
        description:
          'Numbers of channels at the start, as multiples of those that the network came with, none above expansion.cap; 1 is always ' +
          'among them.',
      }),
    ),
    expansion: Type.Optional(NceExpansion),
    start: Type.Optional(
      Type.Enum(['model', 'none'], {
        default: 'model',
        description:
          'Weights that the search begins with. model: those of the network that was uploaded, which fit its own channels best. none: random ' +
          'ones, to which all channels are alike.',
      }),
    ),
    odds: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 1000,
        default: 1.5,
        description:
          'How many times as likely as the channels that a layer came with another number has to be to take their place. Neighbours come out ' +
          'about that far apart by chance, and weights fit the channels that they came with. Budgets may ask for others all the same. 1: the likeliest.',
      }),
    ),
    refine: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Then exchange channels between layers, within the budgets, for as long as the network of the search gets better on samples that ' +
          'its weights were not trained on.',
      }),
    ),
    inherit: Type.Optional(
      Type.Enum(['supernet', 'model', 'none'], {
        default: 'model',
        description:
          'Weights that the network found begins its training with. model: those of the network that was uploaded, the channels that matter ' +
          'most and copies of them. supernet: those that the search has trained. none: random ones.',
      }),
    ),
    controls: Type.Optional(
      Type.Array(Type.Enum(['original', 'uniform', 'random']), {
        maxItems: 3,
        uniqueItems: true,
        default: [],
        description:
          'Networks to compare the result with, trained as it was, which takes as long again for each. original: the widths of the network that was ' +
          'uploaded. uniform: those times one factor, of as many multiply-accumulates as the result. random: any, of as many.',
      }),
    ),
    widths: Type.Optional(
      Type.Record(Type.String({ minLength: 1 }), Type.Integer({ minimum: 1, maximum: 1_000_000 }), {
        description:
          'Channels by layer, in place of a search: what an earlier search found, or a network to compare it with. Layers that are ' +
          'tied to each other have the same number; those that are left out keep theirs. Budgets do not matter then.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'Asked for by the method nce, or by giving this with the method uniform, fgq, int4 or int8. Batches, workers, the loss, the variations of samples and the quantizers in training are those of fineTune, ' +
      'which follows the search.',
  },
);
export type Nce = Static<typeof Nce>;

/** With every default filled in; what is not given of epochs and minutes is null. */
export interface ResolvedNce {
  epochs: number | null;
  minutes: number | null;
  /** Bytes are null where they are not limited. */
  budgets: { macs: NceLimit; parameters: NceLimit; bytes: NceLimit | null };
  budgetWeight: number;
  learningRate: number;
  choiceRate: number;
  bilevel: boolean;
  mixing: 'interpolate' | 'mask';
  warmUp: number;
  candidates: number[];
  expansion: { threshold: number; step: number; cap: number };
  start: 'model' | 'none';
  odds: number;
  refine: boolean;
  inherit: 'supernet' | 'model' | 'none';
  controls: ('original' | 'uniform' | 'random')[];
  /** Null: searched. */
  widths: Record<string, number> | null;
}

const CANDIDATES = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];

export function resolveNce(asked: Nce): ResolvedNce {
  return {
    epochs: asked.epochs ?? null,
    minutes: asked.minutes ?? (asked.epochs === undefined && asked.widths === undefined ? 30 : null),
    budgets: {
      macs: asked.budgets?.macs ?? 1,
      parameters: asked.budgets?.parameters ?? 1,
      bytes: asked.budgets?.bytes ?? null,
    },
    budgetWeight: asked.budgetWeight ?? 2,
    learningRate: asked.learningRate ?? 0.01,
    choiceRate: asked.choiceRate ?? 0.01,
    bilevel: asked.bilevel ?? true,
    mixing: asked.mixing ?? 'mask',
    warmUp: asked.warmUp ?? 0.1,
    candidates: [...new Set([...(asked.candidates ?? CANDIDATES), 1])].sort((a, b) => a - b),
    expansion: { threshold: 0.3, step: 0.1, cap: 2, ...asked.expansion },
    start: asked.start ?? 'model',
    odds: asked.odds ?? 1.5,
    refine: asked.refine ?? false,
    inherit: asked.inherit ?? 'model',
    controls: asked.controls ?? [],
    widths: asked.widths ?? null,
  };
}

/** As a recipe that can be submitted. */
export function completeNce({ epochs, minutes, widths, budgets: { bytes, ...budgets }, ...rest }: ResolvedNce): Nce {
  return {
    ...rest,
    budgets: { ...budgets, ...(bytes !== null && { bytes }) },
    ...(epochs !== null && { epochs }),
    ...(minutes !== null && { minutes }),
    ...(widths !== null && { widths }),
  };
}
