import { basename, join } from 'node:path';
import type { QuantizedModel } from '../artifact/build-graph.js';
import { byteLengthOf, elementCount } from '../ir/index.js';
import { readModel, writeModel } from '../onnx/index.js';
import { type FoldConstantsOptions, foldConstants } from '../passes/fold-constants.js';

/**
 * onnxruntime unpacks all weights before it drops the first intermediate result. For weights of floating-point layers
 * those are 14 bytes per weight, where the weight itself takes four. From this size on that matters.
 */
const LARGE_WEIGHT_BYTES = 512 * 1024 * 1024;

/** Whether loading artifacts of the network takes several times the memory of the original. */
export function isHeavyToLoad({ layers }: QuantizedModel): boolean {
  const inFloat = layers.filter(
    // Codes of tables stay codes.
    ({ applied, layer }) =>
      applied.bits !== null && applied.activationBits === null && !(layer.isTable && layer.inMainGraph),
  );
  const weights = new Set(inFloat.map(({ layer }) => layer.weight));
  const bytes = [...weights].map(({ shape }) => byteLengthOf('float32', elementCount(shape)));
  return bytes.reduce((sum, size) => sum + size, 0) > LARGE_WEIGHT_BYTES;
}

/**
 * What onnxruntime makes of an artifact when it loads it, made by onnxruntime too, but a few weights at a time.
 * @returns the path of a model in the scratch folder
 */
export async function unpackedCopy(
  artifactPath: string,
  options: Omit<FoldConstantsOptions, 'maxResultBytes' | 'keptOp'>,
): Promise<string> {
  const model = await readModel(artifactPath);
  // Integer operators take DequantizeLinear as it is; onnxruntime does not fold it either.
  await foldConstants(model, { ...options, maxResultBytes: Number.POSITIVE_INFINITY, keptOp: 'DequantizeLinear' });
  const path = join(options.scratchDir, `unpacked-${basename(artifactPath)}`);
  await writeModel(model, path, { externalData: 'by-reference' });
  return path;
}
