import { join } from 'node:path';
import type { ArtifactProfile, ResolvedRecipe } from '@tritforge/contracts';
import { fileDigest } from '../file-digest.js';
import type { Model } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import { buildGraph, type QuantizedModel } from './build-graph.js';
import { packMasks } from './pack-masks.js';
import { shortenNames } from './short-names.js';

/** Standard opset that a profile needs at least: int8 Mul came with 14, per-channel DequantizeLinear with 13. */
export const PROFILE_OPSET: Readonly<Record<ArtifactProfile, number>> = {
  portable: 14,
  compat: 13,
  accelerated: 14,
  'ort-nbits': 14,
};

/** A model file on disk. */
export interface WrittenModel {
  readonly path: string;
  readonly fileName: string;
  readonly externalDataFileName: string | null;
  /** All files. */
  readonly sizeBytes: number;
  /** Of the .onnx file. */
  readonly digest: string;
  readonly opset: number;
  readonly irVersion: number;
}

/** Writes a quantized model in one profile. */
export async function writeArtifact(
  source: QuantizedModel,
  profile: ArtifactProfile,
  folder: string,
  fileName: string,
  scratch: ScratchTensors,
): Promise<WrittenModel> {
  const model = await buildGraph(source, { encoding: profile, minimumOpset: PROFILE_OPSET[profile], scratch });
  await packMasks(model);
  shortenNames(model, source.prepared.graph);
  return writeTo(model, folder, fileName);
}

async function writeTo(model: Model, folder: string, fileName: string): Promise<WrittenModel> {
  const path = join(folder, fileName);
  const { files } = await writeModel(model, path);
  return {
    path,
    fileName,
    externalDataFileName: files[1]?.name ?? null,
    sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
    digest: await fileDigest(path),
    opset: model.opsetImports.get('')!,
    irVersion: model.irVersion,
  };
}

/** `<stem>.fgq-n64.portable.onnx`, `<stem>.fgq-n64-p2-a4.portable.onnx`, `<stem>.int4-n32.compat.onnx`, `<stem>.uniform-a2.portable.onnx`, … */
export function artifactFileName(stem: string, recipe: ResolvedRecipe, profile: ArtifactProfile): string {
  const { method, weights } = recipe;
  const groups = method === 'fgq' || method === 'int4' ? `-n${weights.groupSize}` : '';
  const planes = method === 'fgq' && hasSecondPlanes(recipe) ? '-p2' : '';
  const { bits } = recipe.activations;
  const activations = bits === null || bits === 8 ? '' : `-a${bits}`;
  return `${stem}.${method}${groups}${planes}${activations}.${profile}.onnx`;
}

/** Whether the recipe asks for second planes beyond single rules. */
function hasSecondPlanes({ weights: { residualPlanes } }: ResolvedRecipe): boolean {
  return typeof residualPlanes === 'number' ? residualPlanes > 0 : residualPlanes.length > 0;
}
