import type { LayerReport, Report } from '@tritforge/contracts';
import { sampleNce } from './sample-nce.js';

/** A report without anything that a report can do without, as the first version of the engine would have written it. */
export const BARE_REPORT: Report = {
  model: { digest: 'sha256:00', sizeBytes: 4000, parameters: 1000, opset: 17, nodes: 3, macs: null },
  artifacts: [],
  baseline: null,
  accuracy: null,
  latency: null,
  layers: [],
  kept: [],
  gates: [],
  warnings: [],
  provenance: { engineVersion: '0.1.0', onnxruntimeVersion: '1.30.0', recipe: {}, seed: 0, datasets: [] },
};

/** A ternary layer. */
export function sampleLayer(node: string, changes: Partial<LayerReport> = {}): LayerReport {
  const precision = { bits: 2, groupSize: 64, planes: 1, activationBits: 8 } as const;
  return {
    node,
    op: 'Conv',
    weight: `${node}.weight`,
    shape: [64, 64, 3, 3],
    requested: precision,
    applied: precision,
    reason: null,
    bitsPerWeight: 2.1,
    weightError: 0.12,
    outputSqnrDb: 9.5,
    zeros: 0.4,
    ...changes,
  };
}

/** A report with something in every section; `text` stands wherever a name or message of somebody else can. */
export function fullReport(text = 'name'): Report {
  const reason = `${text} shares its input with an int8 layer`;
  const kept = { node: `${text}/gather`, op: text, reason };
  return {
    ...BARE_REPORT,
    artifacts: [
      {
        profile: 'portable',
        fileName: `${text}.fgq-n64.portable.onnx`,
        externalDataFileName: `${text}.data`,
        sizeBytes: 1000,
        digest: text,
        opset: 14,
        irVersion: 8,
        bitsPerWeight: { quantizedLayers: 2.1, wholeModel: 8 },
        verification: {
          engine: `onnxruntime ${text}`,
          samples: 4,
          encodingMaxAbsError: 0,
          maxAbsError: 1e-5,
          operatorsMaxAbsError: null,
          sqnrDb: 80,
          passed: true,
        },
      },
    ],
    baseline: { method: 'int8', sizeBytes: 2000, digest: text },
    accuracy: {
      metric: 'top1',
      samples: 1000,
      original: 91.5,
      int8: 91.4,
      quantized: 90.25,
      drop: 1.25,
      pairedStandardError: 0.5,
      agreement: 95,
    },
    latency: {
      threads: 2,
      batch: 1,
      runs: 100,
      originalMs: 2,
      int8Ms: 1,
      quantizedMs: 0.5,
      acceleratedMs: 0.4,
      acceleratedEngine: text,
      cpu: text,
    },
    layers: [
      sampleLayer(`${text}/first`, {
        applied: { bits: 8, groupSize: null, planes: null, activationBits: 8 },
        reason,
        sensitivity: 0.01,
      }),
      sampleLayer(`${text}/second`, {
        op: text,
        outputSqnrDb: -3,
        sensitivity: 0.5,
        causes: [
          { cause: 'saturation', noise: 0.25 },
          { cause: 'deadGroups', noise: 0.01 },
        ],
        histogram: { limit: 0.5, original: [1, 2, 6, 2, 1], quantized: [1, 0, 10, 0, 1] },
      }),
      sampleLayer(`${text}/third`, {
        applied: { bits: null, groupSize: null, planes: null, activationBits: null },
        reason,
        bitsPerWeight: null,
        weightError: null,
        outputSqnrDb: null,
        zeros: null,
      }),
    ],
    kept: [kept, { ...kept, node: `${text}/other` }],
    frontier: [
      {
        label: `${text} small`,
        bitsPerWeight: 2.1,
        sizeBytes: 900,
        accuracy: 80,
        latencyMs: 0.5,
        kept: true,
        drop: 11.5,
        meets: false,
        fileName: `${text}.onnx`,
      },
      { label: `${text} large`, bitsPerWeight: 4.1, sizeBytes: 1500, accuracy: 90, latencyMs: 0.6, kept: true },
      { label: `${text} bad`, bitsPerWeight: 4.1, sizeBytes: 1500, accuracy: null, latencyMs: null, kept: false },
    ],
    recommendation: {
      measure: 'kl',
      samples: 64,
      damage: 0.51,
      patch: [{ match: { name: text }, set: { bits: 8 } }],
      predictedGain: 0.4,
      addedBytes: 1200,
      recipe: {},
    },
    nce: sampleNce(text),
    fineTune: {
      samples: 448,
      heldOutSamples: 64,
      workers: 2,
      batch: 32,
      seconds: 12.5,
      bestEpoch: 2,
      curve: [
        { epoch: 0, seconds: 0.5, trainingLoss: null, heldOutLoss: 0.4 },
        { epoch: 1, seconds: 4.5, trainingLoss: 0.25, heldOutLoss: 0.2 },
        { epoch: 2, seconds: 8.5, trainingLoss: 0.12, heldOutLoss: 0.1 },
        { epoch: 3, seconds: 12.5, trainingLoss: 0.08, heldOutLoss: 0.11 },
      ],
    },
    gates: [
      { name: 'maxAccuracyDrop', limit: 2, value: 1.25, passed: true },
      { name: 'maxSizeBytes', limit: 900, value: 1000, passed: false },
      { name: text, limit: 1, value: null, passed: false },
    ],
    warnings: [
      { code: 'DEAD_CHANNELS', message: `${text} of 64 channels`, node: text },
      { code: text, message: text, node: null },
    ],
    provenance: {
      engineVersion: text,
      onnxruntimeVersion: text,
      kernels: 'native',
      recipe: { method: 'fgq', layers: [{ match: { name: text }, set: { bits: 8 } }] },
      seed: 0,
      datasets: [
        { role: 'calibration', digest: text, samples: 256, preprocess: { centerCrop: 224, input: text } },
        { role: 'evaluation', digest: text, samples: 1000, preprocess: { centerCrop: 224, input: text } },
      ],
    },
  };
}
