import Type, { type Static } from 'typebox';
import { Digest, idSchema } from './ids.js';
import { nullable } from './nullable.js';
import { Preprocess } from './preprocess.js';
import { ArtifactProfile, Recipe } from './recipe.js';
import { BitsPerWeight, GateReport, Metric } from './report.js';
import { expiresAt, KEPT_SECONDS } from './retention.js';

const Timestamp = Type.String({ format: 'date-time' });
const InputExpiresAt = expiresAt('When it is deleted; while a job that has not ended uses it, it stays.');
const Dimension = Type.Union([Type.Integer(), Type.String(), Type.Null()], {
  description: 'A size, a symbolic name, or null when unknown.',
});

export const TensorInfo = Type.Object({
  name: Type.String(),
  dtype: Type.String(),
  shape: nullable(Type.Array(Dimension)),
});
export type TensorInfo = Static<typeof TensorInfo>;

/** What is known of a model from its file alone. */
export const ModelSummary = Type.Object({
  irVersion: Type.Integer(),
  opset: Type.Integer(),
  producer: nullable(Type.String()),
  parameters: Type.Integer(),
  nodes: Type.Integer(),
  macs: nullable(Type.Integer()),
  operators: Type.Record(Type.String(), Type.Integer(), {
    description: 'Node count by operator, subgraphs and functions included.',
  }),
  inputs: Type.Array(TensorInfo),
  outputs: Type.Array(TensorInfo),
  quantizableLayers: Type.Integer(),
});
export type ModelSummary = Static<typeof ModelSummary>;

const Source = Type.Union([Type.String(), Type.Null()], {
  description: 'Address of the object that the file was read from when it was stored first; null when it was sent.',
});

export const Model = Type.Object(
  {
    id: idSchema('model'),
    fileName: Type.String(),
    sizeBytes: Type.Integer(),
    digest: Digest,
    files: Type.Array(Type.Object({ name: Type.String(), sizeBytes: Type.Integer(), digest: Digest }), {
      description: 'The .onnx file first, then its external data.',
    }),
    summary: ModelSummary,
    source: Source,
    createdAt: Timestamp,
    expiresAt: InputExpiresAt,
  },
  { $id: 'Model' },
);
export type Model = Static<typeof Model>;

export const DatasetFormat = Type.Enum(['npz', 'zip', 'tar']);
export type DatasetFormat = Static<typeof DatasetFormat>;

/** What is known of a dataset from its file alone. */
export const DatasetSummary = Type.Object({
  format: DatasetFormat,
  samples: Type.Integer(),
  labels: nullable(Type.Object({ dtype: Type.String(), classes: nullable(Type.Integer()) })),
  arrays: Type.Array(Type.Object({ name: Type.String(), dtype: Type.String(), shape: Type.Array(Type.Integer()) })),
});
export type DatasetSummary = Static<typeof DatasetSummary>;

export const Dataset = Type.Object(
  {
    id: idSchema('dataset'),
    fileName: Type.String(),
    sizeBytes: Type.Integer(),
    digest: Digest,
    preprocess: nullable(Preprocess),
    summary: DatasetSummary,
    source: Source,
    createdAt: Timestamp,
    expiresAt: InputExpiresAt,
  },
  { $id: 'Dataset' },
);
export type Dataset = Static<typeof Dataset>;

export const JOB_STATES = ['queued', 'running', 'succeeded', 'failed', 'canceled', 'expired'] as const;
export type JobState = (typeof JOB_STATES)[number];
export const JobStateSchema = Type.Enum([...JOB_STATES]);

/** Whether a job in this state will never change again. */
export function isTerminal(state: JobState): boolean {
  return state !== 'queued' && state !== 'running';
}

export const PHASES = [
  'read',
  'prepare',
  'search',
  'calibrate',
  'quantize',
  'fineTune',
  'encode',
  'verify',
  'measure',
  'controls',
  'publish',
] as const;
/** The step of the pipeline that a running job is in, in this order. */
export type Phase = (typeof PHASES)[number];
/** Those that a job has where its recipe asks for them. */
export const OPTIONAL_PHASES: ReadonlySet<Phase> = new Set(['search', 'fineTune', 'controls']);
export const PhaseSchema = Type.Enum([...PHASES]);

export const Progress = Type.Object({
  done: Type.Number(),
  total: Type.Number(),
  unit: Type.String({ description: 'What done and total count within the phase: layers, samples, bytes, runs.' }),
  etaSeconds: nullable(Type.Number({ description: 'Estimated seconds until the job ends.' })),
  detail: Type.Optional(Type.String({ description: 'How it goes, in words, such as epoch and loss of a training.' })),
});
export type Progress = Static<typeof Progress>;

export const Estimate = Type.Object(
  { startsInSeconds: Type.Integer(), runsForSeconds: Type.Integer() },
  { description: 'What a queued job can expect, by what jobs on this model, or else all jobs, took before.' },
);
export type Estimate = Static<typeof Estimate>;

export const Gates = Type.Object(
  {
    maxAccuracyDrop: Type.Optional(Type.Number({ minimum: 0, description: 'In the unit of the metric.' })),
    maxSizeBytes: Type.Optional(Type.Integer({ minimum: 1 })),
    minSpeedup: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'Latency of the original divided by that of the artifact.' }),
    ),
    onFailure: Type.Optional(Type.Enum(['report', 'fail'], { default: 'report' })),
  },
  { additionalProperties: false },
);
export type Gates = Static<typeof Gates>;

export const JobDatasets = Type.Object(
  {
    calibration: Type.Optional(idSchema('dataset')),
    evaluation: Type.Optional(idSchema('dataset')),
    training: Type.Optional(idSchema('dataset')),
  },
  {
    additionalProperties: false,
    description:
      'calibration: what weights and ranges are fitted to. evaluation: what accuracy is measured on. training: what recipe.fineTune ' +
      'trains on; the calibration dataset where there is none.',
  },
);
export type JobDatasets = Static<typeof JobDatasets>;

/** What a job uses datasets for. */
export const DATASET_ROLES = ['calibration', 'evaluation', 'training'] as const satisfies (keyof JobDatasets)[];
export type DatasetRole = (typeof DATASET_ROLES)[number];

const jobRequestFields = {
  recipe: Type.Optional(Recipe),
  metric: Type.Optional(Metric),
  gates: Type.Optional(Gates),
  deadlineSeconds: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 7 * 24 * 3600,
      description: 'Wall-clock limit, counted from the start of the run.',
    }),
  ),
  startWithinSeconds: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 7 * 24 * 3600,
      description: 'A job that no worker has started by then expires, and never runs.',
    }),
  ),
  expiresInSeconds: Type.Optional(
    nullable(
      Type.Integer({
        ...KEPT_SECONDS,
        description:
          'The job is deleted so many seconds after its end, with its report, artifacts and events; what a form brings along, so many ' +
          'seconds from now. Null keeps all of it; when left out it is kept for as long as the service is set to.',
      }),
    ),
  ),
  labels: Type.Optional(
    Type.Record(Type.String({ pattern: '^[A-Za-z0-9._/-]{1,63}$' }), Type.String({ maxLength: 255 }), {
      maxProperties: 32,
      additionalProperties: false,
      description: 'Free key-value pairs; jobs can be listed by them.',
    }),
  ),
};

/** The body of `POST /jobs` as JSON. */
export const JobRequest = Type.Object(
  { modelId: idSchema('model'), datasets: Type.Optional(JobDatasets), ...jobRequestFields },
  { additionalProperties: false, $id: 'JobRequest' },
);
export type JobRequest = Static<typeof JobRequest>;

/** The `job` part of a multipart `POST /jobs`, where model and data travel in the same request. */
export const JobOptions = Type.Object(
  {
    ...jobRequestFields,
    preprocess: Type.Optional(Preprocess),
  },
  { additionalProperties: false, $id: 'JobOptions' },
);
export type JobOptions = Static<typeof JobOptions>;

export const JobError = Type.Object({
  code: Type.String(),
  message: Type.String(),
  retryable: Type.Boolean(),
  node: Type.Optional(Type.String()),
  opType: Type.Optional(Type.String()),
  opset: Type.Optional(Type.Integer()),
  field: Type.Optional(Type.String()),
  remediation: Type.Optional(Type.String()),
});

export const Job = Type.Object(
  {
    id: idSchema('job'),
    state: JobStateSchema,
    phase: nullable(PhaseSchema),
    progress: nullable(Progress),
    queuePosition: nullable(
      Type.Integer({
        minimum: 1,
        description:
          'Of a queued job: how soon it is its turn. Where hundreds wait, as of a second ago, and null for a job that came since.',
      }),
    ),
    estimate: nullable(Estimate),
    createdAt: Timestamp,
    startedAt: nullable(Timestamp),
    finishedAt: nullable(Timestamp),
    expiresAt: expiresAt(
      'When it is deleted, with its report, artifacts and events. Of a job that has not ended, at the earliest: the time counts from its end.',
    ),
    attempts: Type.Integer(),
    engineVersion: nullable(Type.String()),
    modelId: idSchema('model'),
    recipe: Recipe,
    datasets: JobDatasets,
    metric: nullable(Metric),
    gates: Type.Object({
      requested: nullable(Gates),
      passed: nullable(Type.Boolean()),
      results: Type.Array(GateReport),
    }),
    deadlineSeconds: nullable(Type.Integer()),
    startBy: nullable(
      Type.String({ format: 'date-time', description: 'When it becomes `expired` unless it was started.' }),
    ),
    labels: Type.Record(Type.String(), Type.String()),
    error: nullable(JobError),
    artifactIds: Type.Array(idSchema('artifact')),
  },
  { $id: 'Job' },
);
export type Job = Static<typeof Job>;

export const Artifact = Type.Object(
  {
    id: idSchema('artifact'),
    jobId: idSchema('job'),
    profile: ArtifactProfile,
    fileName: Type.String(),
    files: Type.Array(Type.Object({ name: Type.String(), sizeBytes: Type.Integer(), digest: Digest }), {
      description: 'The .onnx file first, then its external data if it has any.',
    }),
    sizeBytes: Type.Integer(),
    digest: Digest,
    opset: Type.Integer(),
    irVersion: Type.Integer(),
    requires: Type.Object({
      onnxruntime: Type.String(),
      ops: nullable(
        Type.String({ description: 'Operators whose kernels make the artifact faster; it runs without them.' }),
      ),
    }),
    bitsPerWeight: BitsPerWeight,
    createdAt: Timestamp,
    expiresAt: expiresAt('When it is deleted, together with its job.'),
  },
  { $id: 'Artifact' },
);
export type Artifact = Static<typeof Artifact>;

/** RFC 9457 problem details with the fields that this service adds. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.String(),
    instance: Type.String(),
    retryable: Type.Boolean(),
    node: Type.Optional(Type.String()),
    opType: Type.Optional(Type.String()),
    opset: Type.Optional(Type.Integer()),
    field: Type.Optional(Type.String()),
    remediation: Type.Optional(Type.String()),
  },
  { $id: 'Problem' },
);
export type Problem = Static<typeof Problem>;
