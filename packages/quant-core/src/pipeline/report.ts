import {
  type AccuracyReport,
  type ArtifactReport,
  completeRecipe,
  type FineTuneReport,
  type LatencyReport,
  type LayerReport,
  type NceReport,
  type Report,
  type ResolvedRecipe,
  type Warning,
} from '@tritforge/contracts';
import type { QuantizedModel } from '../artifact/build-graph.js';
import { blockWeights } from '../artifact/nbits/block-weights.js';
import { blocksByteLength } from '../artifact/nbits/pack-blocks.js';
import type { WrittenModel } from '../artifact/write-artifacts.js';
import { ENGINE_VERSION } from '../engine-version.js';
import { checkGates } from '../evaluate/index.js';
import { elementCount, type Tensor, tensorByteLength } from '../ir/index.js';
import type { GroupCodes, QuantizedWeight } from '../layers/encoded-weight.js';
import type { KeptNode, PlannedLayer } from '../layers/layer.js';
import type { QuantizeRequest } from '../quantize-request.js';
import { kernelInfo } from '../runtime/kernels.js';
import type { Exploration } from '../search/explore.js';
import { explainLayer, recommend } from '../search/recommend.js';
import type { JobData } from './job-data.js';
import { judgedValue } from './layer-outputs.js';
import type { OriginalModel } from './original-model.js';
import { isHeavyToLoad } from './unpacked-copy.js';
import { worstWeightHistograms } from './weight-histograms.js';

/** An artifact that has been verified. */
export interface VerifiedArtifact extends WrittenModel {
  /** The file by which it was loaded to be measured. */
  readonly loadablePath: string;
  readonly profile: ArtifactReport['profile'];
  readonly verification: ArtifactReport['verification'];
}

/** All results of a job. */
export interface Results {
  readonly request: QuantizeRequest;
  readonly recipe: ResolvedRecipe;
  readonly engine: string;
  readonly original: Omit<OriginalModel, 'files'>;
  readonly network: QuantizedModel;
  readonly weights: ReadonlyMap<Tensor, QuantizedWeight>;
  readonly kept: readonly KeptNode[];
  readonly artifacts: readonly VerifiedArtifact[];
  readonly baseline: WrittenModel | null;
  /** By value name. */
  readonly sqnr: ReadonlyMap<string, number>;
  readonly accuracy: AccuracyReport | null;
  readonly latency: LatencyReport;
  readonly data: JobData;
  /** What was measured beforehand; null where the recipe did not ask for it. */
  readonly exploration: Exploration | null;
  /** The report is null where the recipe did not ask for it. */
  readonly nce: NceReport | null;
  readonly fineTune: { readonly report: FineTuneReport | null; readonly warnings: readonly Warning[] };
}

/** Share by which an artifact is slower than the original from which a user should know. */
const NOTABLE_SLOWDOWN = 1.05;

/** Puts the report together; reads the weights of the few layers that get a histogram. */
export async function makeReport(results: Results): Promise<Report> {
  const { original, recipe, accuracy, latency } = results;
  const { inspection } = original;
  return {
    model: {
      digest: original.digest,
      sizeBytes: original.sizeBytes,
      parameters: inspection.parameters,
      opset: inspection.opset,
      nodes: inspection.nodes,
      macs: inspection.macs,
    },
    artifacts: [
      ...results.artifacts.map((artifact) => artifactReport(artifact, results)),
      ...(results.exploration?.artifacts ?? []),
    ],
    baseline: results.baseline && {
      method: 'int8',
      sizeBytes: results.baseline.sizeBytes,
      digest: results.baseline.digest,
    },
    accuracy,
    latency,
    layers: await layerReports(results),
    kept: [...results.kept, ...excluded(results.network.layers)],
    ...explorationReport(results),
    ...(results.nce !== null && { nce: results.nce }),
    ...(results.fineTune.report !== null && { fineTune: results.fineTune.report }),
    gates: checkGates(results.request.gates ?? {}, {
      accuracyDrop: accuracy?.drop ?? null,
      sizeBytes: Math.max(...results.artifacts.map(({ sizeBytes }) => sizeBytes)),
      speedup: latency.originalMs / latency.quantizedMs,
    }),
    warnings: warnings(results),
    provenance: {
      engineVersion: ENGINE_VERSION,
      onnxruntimeVersion: results.engine.replace(/^onnxruntime /, ''),
      kernels: kernelInfo().implementation,
      recipe: completeRecipe(recipe),
      seed: recipe.seed,
      datasets: datasets(results),
    },
  };
}

/** What was measured before the weights were quantized. */
function explorationReport({
  exploration,
  network,
  artifacts,
  latency,
}: Results): Pick<Report, 'frontier' | 'recommendation'> {
  if (exploration === null) return {};
  const { frontier, sensitivities, recipe } = exploration;
  const chosen = artifacts[0]!.fileName;
  return {
    ...(frontier.length > 0 && {
      frontier: frontier.map((point) =>
        point.fileName === chosen ? { ...point, latencyMs: point.latencyMs ?? latency.quantizedMs } : point,
      ),
    }),
    recommendation: sensitivities && recommend(sensitivities, network.layers, recipe),
  };
}

/** What a report says about an artifact. */
export function artifactReport(
  artifact: VerifiedArtifact,
  network: Pick<Results, 'weights' | 'original' | 'network'>,
): ArtifactReport {
  const { path: _, loadablePath: __, ...written } = artifact;
  return { ...written, bitsPerWeight: bitsPerWeight(artifact, network) };
}

/** Bits per weight of an artifact. */
export function bitsPerWeight(
  { profile, sizeBytes }: Pick<VerifiedArtifact, 'profile' | 'sizeBytes'>,
  { weights, original, network }: Pick<Results, 'weights' | 'original' | 'network'>,
): ArtifactReport['bitsPerWeight'] {
  const inBlocks = profile === 'ort-nbits' ? blockWeights(network) : new Map<Tensor, GroupCodes>();
  const stored = [...weights.entries()].map(([tensor, weight]) => {
    const blocks = inBlocks.get(tensor);
    const bytes = blocks === undefined ? storedBytes(weight) : blocksByteLength(blocks);
    return { count: elementCount(tensor.shape), bytes, isLowBit: weight.codes.kind !== 'int8' };
  });
  return {
    quantizedLayers: meanBits(stored),
    lowBitLayers: meanBits(stored.filter(({ isLowBit }) => isLowBit)),
    // Weights that the original computes from a few constants count as parameters only once they are stored.
    wholeModel: (8 * sizeBytes) / Math.max(original.inspection.parameters, countOf(stored)),
  };
}

interface StoredWeight {
  readonly count: number;
  readonly bytes: number;
}

function meanBits(stored: readonly StoredWeight[]): number | null {
  const count = countOf(stored);
  return count === 0 ? null : (8 * stored.reduce((sum, { bytes }) => sum + bytes, 0)) / count;
}

function countOf(stored: readonly StoredWeight[]): number {
  return stored.reduce((sum, { count }) => sum + count, 0);
}

/** Bytes of codes, group scales and channel scales as artifacts of standard operators store them. */
function storedBytes({ codes, channelScales }: QuantizedWeight): number {
  return channelScales.byteLength + tensorsOf(codes).reduce((sum, tensor) => sum + tensorByteLength(tensor), 0);
}

function tensorsOf(codes: QuantizedWeight['codes']): Tensor[] {
  if (codes.kind === 'int8') return [codes.values];
  if (codes.kind === 'int2') return [codes.packed];
  const planes = [codes, ...(codes.residual === null ? [] : [codes.residual])];
  return planes.flatMap(({ packed, groupCodes }) => [packed, groupCodes]);
}

async function layerReports(results: Results): Promise<LayerReport[]> {
  const { network, weights } = results;
  const reports = network.layers.map((planned) => layerReport(planned, results));
  const sources = network.layers.flatMap(({ layer, applied }, index) => {
    const quantized = applied.bits === null ? undefined : weights.get(layer.weight);
    return quantized === undefined ? [] : [{ report: reports[index]!, original: layer.weight, quantized }];
  });
  const histograms = await worstWeightHistograms(sources);
  return reports.map((report, index) => {
    const histogram = report.bitsPerWeight === null ? undefined : histograms.get(network.layers[index]!.layer.weight);
    return { ...report, ...(histogram && { histogram }) };
  });
}

function layerReport(planned: PlannedLayer, { network, weights, sqnr, exploration }: Results): LayerReport {
  const { layer, requested, applied, reason } = planned;
  const weight = applied.bits === null ? undefined : weights.get(layer.weight);
  return {
    node: layer.node.name,
    op: layer.node.opType,
    weight: layer.weightName,
    shape: [...layer.weight.shape],
    requested,
    applied,
    reason,
    bitsPerWeight: weight === undefined ? null : (8 * storedBytes(weight)) / elementCount(weight.shape),
    weightError: weight?.weightError ?? null,
    outputSqnrDb: weight === undefined ? null : (sqnr.get(judgedValue(planned, network)) ?? null),
    zeros: weight?.zeros ?? null,
    ...(exploration?.sensitivities && explainLayer(planned, exploration.sensitivities, exploration.inputMeans)),
  };
}

function excluded(layers: readonly PlannedLayer[]): KeptNode[] {
  return layers
    .filter(({ applied }) => applied.bits === null)
    .map(({ layer, reason }) => ({
      node: layer.node.name,
      op: layer.node.opType,
      reason: reason ?? 'excluded by the recipe',
    }));
}

function warnings({ network, weights, data, recipe, request, latency, exploration, fineTune }: Results): Warning[] {
  const found: Warning[] = [...(exploration?.warnings ?? []), ...fineTune.warnings];
  if (data.evaluation === null) {
    found.push({
      code: 'NO_EVALUATION_DATA',
      message: 'Accuracy was not measured: there is no evaluation dataset.',
      node: null,
    });
  }
  if (request.gates?.maxAccuracyDrop !== undefined && data.evaluation === null) {
    found.push({
      code: 'GATE_NOT_MEASURED',
      message: 'The gate on accuracy cannot pass without an evaluation dataset.',
      node: null,
    });
  }
  if (recipe.weights.solver !== 'exact' && data.calibration === null) {
    found.push({
      code: 'SOLVER_WITHOUT_DATA',
      message: `The solver ${recipe.weights.solver} needs calibration data; weights were quantized by the solver exact.`,
      node: null,
    });
  }
  if (isHeavyToLoad(network)) {
    found.push({
      code: 'HEAVY_TO_LOAD',
      message:
        'onnxruntime takes about four times the memory of the original while it loads this artifact. It was measured on a ' +
        'copy whose weights onnxruntime had unpacked one by one.',
      node: null,
    });
  }
  if (latency.acceleratedMs === null && !isHeavyToLoad(network)) {
    found.push({
      code: 'OPERATORS_NOT_MEASURED',
      message: `The latency with Tritforge's operators was not measured: ${kernelInfo().reason ?? 'they cannot run here'}.`,
      node: null,
    });
  }
  const slowdown = latency.quantizedMs / latency.originalMs;
  if (slowdown > NOTABLE_SLOWDOWN) {
    found.push({
      code: 'SLOWER_THAN_ORIGINAL',
      message: `The artifact took ${slowdown.toFixed(2)} times as long as the original on this machine.`,
      node: null,
    });
  }
  const seen = new Set<Tensor>();
  for (const { layer, applied } of network.layers) {
    const dead = applied.bits === null ? 0 : (weights.get(layer.weight)?.deadChannels ?? 0);
    if (dead === 0 || seen.has(layer.weight)) continue;
    seen.add(layer.weight);
    found.push({
      code: 'DEAD_CHANNELS',
      message: `${dead} of ${layer.layout.outputChannels} output channels have no weight left.`,
      node: layer.node.name,
    });
  }
  return found;
}

function datasets({ data, request }: Results): Report['provenance']['datasets'] {
  const entry = (role: 'calibration' | 'evaluation' | 'training') => {
    const found = data[role];
    if (found === null) return [];
    const preprocess = request[role]?.preprocess ?? null;
    return [{ role, digest: found.digest, samples: found.dataset.sampleCount, preprocess }];
  };
  return [...entry('calibration'), ...entry('evaluation'), ...entry('training')];
}
