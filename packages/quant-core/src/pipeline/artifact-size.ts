import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactProfile } from '@tritforge/contracts';
import { writeArtifact } from '../artifact/write-artifacts.js';
import { throwIfCanceled } from '../cancellation.js';
import { tensorFromFloats } from '../ir/index.js';
import { canHaveBias, type PlannedLayer } from '../layers/layer.js';
import { quantizeWeights } from '../layers/quantize-weights.js';
import type { SupernetBase } from '../nce/supernet/supernet-graph.js';
import type { ScratchTensors } from '../scratch-tensors.js';

/** Bytes of an artifact of a network that was planned. Which codes its weights have does not matter; biases are there wherever one may come. */
export async function artifactSize(
  network: SupernetBase,
  {
    profile,
    ...tools
  }: {
    readonly profile: ArtifactProfile;
    readonly scratch: ScratchTensors;
    readonly scratchDir: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<number> {
  const { scratch, scratchDir, signal } = tools;
  const folder = await mkdtemp(join(scratchDir, 'size-'));
  try {
    const layers = network.layers.map(withBias);
    const { recipe: weights } = await quantizeWeights(layers, {
      scratch,
      smallestInputScale: () => null,
      onLayer: async () => throwIfCanceled(signal),
    });
    return (await writeArtifact({ ...network, layers, weights }, profile, folder, 'size.onnx', scratch)).sizeBytes;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function withBias(planned: PlannedLayer): PlannedLayer {
  const { layer, applied } = planned;
  if (layer.bias !== null || !canHaveBias(layer) || !layer.inMainGraph || applied.bits === null) return planned;
  const { outputChannels } = layer.layout;
  const bias = tensorFromFloats([outputChannels], new Float32Array(outputChannels));
  return { ...planned, layer: { ...layer, bias } };
}
