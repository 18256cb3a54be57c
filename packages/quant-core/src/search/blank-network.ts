import type { ResolvedRecipe } from '@tritforge/contracts';
import type { QuantizedModel } from '../artifact/build-graph.js';
import { groupCount, weightCount } from '../fgq/index.js';
import { withBiases } from '../in-order/quantize-in-order.js';
import type { Tensor } from '../ir/index.js';
import { codesKind } from '../layers/codes-kind.js';
import { encodeWeights, type QuantizedWeight, type WeightCodes } from '../layers/encoded-weight.js';
import type { PlannedLayer } from '../layers/layer.js';
import { readRows } from '../layers/weight-rows.js';
import { isSolvedInOrder } from '../pipeline/network-weights.js';
import type { ScratchTensors } from '../scratch-tensors.js';

/**
 * A network with codes that mean nothing, as large in a file as the one that quantizing gives.
 * @param source as for `quantizeNetwork`
 */
export async function blankNetwork(
  source: Omit<QuantizedModel, 'weights'>,
  recipe: ResolvedRecipe,
  scratch: ScratchTensors,
): Promise<QuantizedModel & { readonly weights: ReadonlyMap<Tensor, QuantizedWeight> }> {
  const layers = isSolvedInOrder(recipe) ? withBiases(source.layers, recipe) : source.layers;
  const weights = new Map<Tensor, QuantizedWeight>();
  for (const planned of layers) {
    const { layer, applied } = planned;
    if (applied.bits === null || weights.has(layer.weight)) continue;
    weights.set(
      layer.weight,
      await encodeWeights(blankCodes(planned, weights.size), await readRows(layer), layer, scratch),
    );
  }
  return { ...source, layers, weights };
}

function blankCodes({ layer: { layout }, applied }: PlannedLayer, index: number): WeightCodes {
  const { groupSize, planes } = applied;
  const kind = codesKind(applied);
  // Small tensors of equal values would be stored once.
  const channelScales = Float32Array.from({ length: layout.outputChannels }, (_, oc) => 1 + oc + index / 1024);
  const codes = new Int8Array(weightCount(layout));
  if (kind === 'int8') return { kind, weights: { layout, values: codes, scales: channelScales } };
  if (kind === 'int2') return { kind, weights: { layout, values: codes.fill(1), scales: channelScales } };
  const groupCodes = new Uint8Array(groupCount(layout, groupSize!));
  const plane = { codes, groupCodes };
  const weights = { layout, groupSize: groupSize!, ...plane, channelScales, ...(planes === 2 && { residual: plane }) };
  return { kind, weights };
}
