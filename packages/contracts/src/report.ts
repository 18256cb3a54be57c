import Type, { type Static } from 'typebox';
import { NceReport } from './nce-report.js';
import { nullable } from './nullable.js';
import { Preprocess } from './preprocess.js';
import { ActivationBits, ArtifactProfile, GroupSize, LayerRule, Planes, type Recipe, WeightBits } from './recipe.js';

export const LayerPrecision = Type.Object({
  bits: nullable(WeightBits),
  groupSize: nullable(GroupSize),
  planes: Type.Optional(
    nullable(
      Type.Union(Planes.anyOf, { description: 'Ternary planes; null for other weights. Older reports lack it.' }),
    ),
  ),
  activationBits: nullable(ActivationBits),
});
export type LayerPrecision = Static<typeof LayerPrecision>;

export const WeightHistogram = Type.Object(
  {
    limit: Type.Number({ description: 'Largest magnitude of both; the bins are of equal width over ±limit.' }),
    original: Type.Array(Type.Integer(), { description: 'Weights per bin.' }),
    quantized: Type.Array(Type.Integer(), { description: 'The same weights after quantization.' }),
  },
  {
    description:
      'How the weights of a layer are distributed; the number of bins is odd, the middle one is around 0. Only the layers with ' +
      'the lowest outputSqnrDb have one.',
  },
);
export type WeightHistogram = Static<typeof WeightHistogram>;

/** What one layer costs the network at one precision. */
export const LayerDamage = Type.Object({
  precision: LayerPrecision,
  damage: Type.Number({ description: 'In the unit of recommendation.measure; positive is worse.' }),
  bytes: Type.Integer({ description: 'Stored codes and scales of the weight.' }),
});
export type LayerDamage = Static<typeof LayerDamage>;

/** Why a layer loses accuracy. */
export const DamageCause = Type.Object({
  cause: Type.Enum(['rangeOutlier', 'saturation', 'deadGroups', 'inputShift', 'sharedScaleMismatch'], {
    description:
      'rangeOutlier: steps of the input are wide for the sake of its outermost 0.1 %. saturation: inputs outside their range. ' +
      'deadGroups: groups of weights that became zero. inputShift: the mean input moved because of the layers before. ' +
      'sharedScaleMismatch: group scales that the common scale of their output channel rounds.',
  }),
  noise: Type.Number({ description: 'Noise power that the cause adds to the output of the layer, over its variance.' }),
});
export type DamageCause = Static<typeof DamageCause>;

export const LayerReport = Type.Object({
  node: Type.String(),
  op: Type.String(),
  weight: nullable(Type.String({ description: 'Name of the weight tensor.' })),
  shape: nullable(Type.Array(Type.Integer())),
  requested: LayerPrecision,
  applied: LayerPrecision,
  reason: nullable(Type.String({ description: 'Why applied differs from requested.' })),
  bitsPerWeight: nullable(Type.Number({ description: 'Codes and group scales; per-channel scales included.' })),
  weightError: nullable(Type.Number({ description: 'Relative squared error of the weights, ||w - q||^2 / ||w||^2.' })),
  outputSqnrDb: nullable(
    Type.Number({ description: 'Signal to quantization noise of the layer output against the original model, dB.' }),
  ),
  zeros: nullable(
    Type.Number({ description: 'Share of ternary codes that are zero, of all planes; null for other weights.' }),
  ),
  sensitivity: Type.Optional(
    nullable(
      Type.Number({
        description:
          'How far the output of the model moves when the weights of this layer alone are quantized as applied, in the unit of ' +
          'recommendation.measure; positive is worse.',
      }),
    ),
  ),
  damages: Type.Optional(
    Type.Array(LayerDamage, { description: 'The same at every precision that was measured, small files first.' }),
  ),
  causes: Type.Optional(
    Type.Array(DamageCause, { description: 'Why, the worst first; what adds less than a ten-thousandth is left out.' }),
  ),
  histogram: Type.Optional(nullable(WeightHistogram)),
});
export type LayerReport = Static<typeof LayerReport>;

/** Bits that an artifact stores per weight, over several sets of weights. */
export const BitsPerWeight = Type.Object({
  quantizedLayers: nullable(Type.Number({ description: 'Stored bits per weight of the layers that were quantized.' })),
  lowBitLayers: Type.Optional(
    nullable(
      Type.Number({
        description:
          'The same over the layers with weights of fewer than 8 bits: codes, group scales and channel scales. null where ' +
          'there are none. Older reports lack it.',
      }),
    ),
  ),
  wholeModel: Type.Number({ description: 'Artifact bits per parameter of the original model.' }),
});
export type BitsPerWeight = Static<typeof BitsPerWeight>;

export const ArtifactReport = Type.Object({
  profile: ArtifactProfile,
  fileName: Type.String(),
  externalDataFileName: nullable(Type.String()),
  sizeBytes: Type.Integer({ description: 'All files of the artifact.' }),
  digest: Type.String(),
  opset: Type.Integer(),
  irVersion: Type.Integer(),
  bitsPerWeight: BitsPerWeight,
  verification: Type.Object({
    engine: Type.String(),
    samples: Type.Integer(),
    encodingMaxAbsError: nullable(
      Type.Number({ description: 'Largest difference to the engine reference, graph run as written.' }),
    ),
    maxAbsError: nullable(
      Type.Number({ description: 'Largest difference to the engine reference, graph run as users run it.' }),
    ),
    operatorsMaxAbsError: nullable(
      Type.Number({
        description:
          "Largest difference between stock onnxruntime and Tritforge's operators; null where those did not run.",
      }),
    ),
    sqnrDb: nullable(Type.Number()),
    passed: Type.Boolean(),
  }),
});
export type ArtifactReport = Static<typeof ArtifactReport>;

export const Warning = Type.Object({ code: Type.String(), message: Type.String(), node: nullable(Type.String()) });
export type Warning = Static<typeof Warning>;

export const Metric = Type.Enum(['top1', 'top5', 'mse', 'perplexity', 'agreement']);
export type Metric = Static<typeof Metric>;

export const AccuracyReport = Type.Object({
  metric: Metric,
  samples: Type.Integer(),
  original: nullable(Type.Number()),
  int8: nullable(Type.Number()),
  quantized: Type.Number(),
  drop: nullable(
    Type.Number({ description: 'How much worse than the original, in the unit of the metric; positive is worse.' }),
  ),
  pairedStandardError: nullable(Type.Number({ description: 'Standard error of the drop over paired samples.' })),
  agreement: nullable(
    Type.Number({ description: 'Share of samples, in percent, whose top class equals that of the original.' }),
  ),
});
export type AccuracyReport = Static<typeof AccuracyReport>;

/** What runs a model: stock onnxruntime, or the same library with Tritforge's operators. */
export const EngineName = Type.Enum(['ort', 'tritforge']);
export type EngineName = 'ort' | 'tritforge';

export const LatencyReport = Type.Object({
  threads: Type.Integer(),
  batch: Type.Integer(),
  runs: Type.Integer(),
  originalMs: Type.Number(),
  int8Ms: nullable(Type.Number()),
  quantizedMs: Type.Number({ description: 'The first artifact in stock onnxruntime.' }),
  acceleratedMs: nullable(
    Type.Number({
      description:
        "The accelerated encoding with Tritforge's operators; null where they were not built or the model is too large to be packed twice.",
    }),
  ),
  acceleratedEngine: nullable(
    Type.String({ description: 'Instruction set and onnxruntime that acceleratedMs is of.' }),
  ),
  cpu: Type.String(),
});
export type LatencyReport = Static<typeof LatencyReport>;

export const GateReport = Type.Object({
  name: Type.String(),
  limit: Type.Number(),
  value: nullable(Type.Number()),
  passed: Type.Boolean(),
});
export type GateReport = Static<typeof GateReport>;

/** One network that was measured on the way to the result. */
export const FrontierPoint = Type.Object({
  label: Type.String(),
  bitsPerWeight: nullable(Type.Number({ description: 'Of the quantized layers.' })),
  sizeBytes: Type.Integer(),
  accuracy: nullable(Type.Number({ description: 'Value of the metric.' })),
  latencyMs: nullable(
    Type.Number({
      description:
        'Where the latency was limited in the engine that the first artifact is made for, else in onnxruntime.',
    }),
  ),
  kept: Type.Boolean({ description: 'Whether no other point is at least as good in everything that was asked for.' }),
  drop: Type.Optional(
    nullable(
      Type.Number({
        description:
          'How much worse than the original; in points of agreement on calibration data kept aside where there are no ' +
          'evaluation data.',
      }),
    ),
  ),
  meets: Type.Optional(Type.Boolean({ description: 'Whether it is within all limits of the search.' })),
  singlePrecision: Type.Optional(
    Type.Boolean({ description: 'Whether one precision was asked for all layers, as without a search.' }),
  ),
  fileName: Type.Optional(nullable(Type.String({ description: 'Its first artifact; null where none was kept.' }))),
  recipe: Type.Optional(
    Type.Unsafe<Recipe>(Type.Unknown({ description: 'The recipe that makes this network without a search.' })),
  ),
});
export type FrontierPoint = Static<typeof FrontierPoint>;

/** What to change about a recipe, as the measured sensitivities have it. */
export const Recommendation = Type.Object(
  {
    measure: Type.Enum(['kl', 'relativeMse'], {
      description:
        'Unit of damage at the output of the model. kl: Kullback-Leibler divergence of the class probabilities from those of the ' +
        'original, nats. relativeMse: squared error over the variance of the output.',
    }),
    samples: Type.Integer({ description: 'Calibration samples kept aside for the measurement.' }),
    damage: Type.Number({ description: 'Sum over the layers as they were applied.' }),
    patch: Type.Array(LayerRule, { description: 'Rules to add behind those of the recipe.' }),
    predictedGain: Type.Number({ description: 'By how much the patch lowers the sum.' }),
    addedBytes: Type.Integer({ description: 'By how much the patch makes the stored weights larger.' }),
    recipe: Type.Unsafe<Recipe>(Type.Unknown({ description: 'The recipe with the patch, to be submitted as it is.' })),
  },
  { description: 'What to change about the recipe, where sensitivities were measured.' },
);
export type Recommendation = Static<typeof Recommendation>;

/** How a quantized network learned to give the outputs of the original. */
export const FineTuneReport = Type.Object(
  {
    samples: Type.Integer({ description: 'That it was trained on.' }),
    heldOutSamples: Type.Integer({ description: 'Kept aside to judge it by.' }),
    workers: Type.Integer(),
    batch: Type.Integer(),
    seconds: Type.Number(),
    bestEpoch: Type.Integer({ description: 'That the artifact is from; 0 where no epoch was better than the start.' }),
    curve: Type.Array(
      Type.Object({
        epoch: Type.Integer({ description: '0 is before the first step.' }),
        seconds: Type.Number({ description: 'Since the training began.' }),
        trainingLoss: nullable(Type.Number({ description: 'Mean over the epoch; null before the first.' })),
        heldOutLoss: Type.Number({ description: 'On samples kept aside, as they are and varied as in training.' }),
      }),
    ),
  },
  { description: 'The training, where the recipe asks for one.' },
);
export type FineTuneReport = Static<typeof FineTuneReport>;

/** What was asked, what was done and what it measured to. */
export const Report = Type.Object(
  {
    model: Type.Object({
      digest: Type.String(),
      sizeBytes: Type.Integer(),
      parameters: Type.Integer(),
      opset: Type.Integer(),
      nodes: Type.Integer(),
      macs: nullable(
        Type.Integer({ description: 'Multiply-accumulates of convolutions and matrix products per sample.' }),
      ),
    }),
    artifacts: Type.Array(ArtifactReport),
    baseline: nullable(Type.Object({ method: Type.Literal('int8'), sizeBytes: Type.Integer(), digest: Type.String() })),
    accuracy: nullable(AccuracyReport),
    latency: nullable(LatencyReport),
    layers: Type.Array(LayerReport),
    kept: Type.Array(Type.Object({ node: Type.String(), op: Type.String(), reason: Type.String() }), {
      description: 'Layers with weights that stay in floating point, with the reason.',
    }),
    frontier: Type.Optional(
      Type.Array(FrontierPoint, { description: 'Precisions that were tried, where several were.' }),
    ),
    recommendation: Type.Optional(nullable(Recommendation)),
    nce: Type.Optional(NceReport),
    fineTune: Type.Optional(FineTuneReport),
    gates: Type.Array(GateReport),
    warnings: Type.Array(Warning),
    provenance: Type.Object({
      engineVersion: Type.String(),
      onnxruntimeVersion: Type.String(),
      kernels: Type.Optional(
        Type.Enum(['native', 'fallback'], {
          description: 'Which ternary kernels the process had: both compute the same. Older reports lack it.',
        }),
      ),
      recipe: Type.Unknown({ description: 'The recipe with all defaults written out; can be submitted as it is.' }),
      seed: Type.Integer(),
      datasets: Type.Array(
        Type.Object({
          role: Type.String(),
          digest: Type.String(),
          samples: Type.Integer(),
          preprocess: Type.Optional(nullable(Preprocess)),
        }),
      ),
    }),
  },
  { $id: 'Report' },
);
export type Report = Static<typeof Report>;
