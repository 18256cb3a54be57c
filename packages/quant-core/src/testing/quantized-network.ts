import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import { layerInput, settleActivationBits } from '../activations/activation-bits.js';
import { planActivations } from '../activations/plan-activations.js';
import type { ActivationScale, QuantizedModel } from '../artifact/build-graph.js';
import type { Model, Tensor } from '../ir/index.js';
import type { QuantizedWeight } from '../layers/encoded-weight.js';
import { findLayers } from '../layers/find-layers.js';
import { planLayers } from '../layers/plan-layers.js';
import { quantizeWeights } from '../layers/quantize-weights.js';
import { prepareModel } from '../passes/prepare-model.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { temporaryFolder } from './temporary-folder.js';

const LEVELS_BELOW_ZERO = 0.4;

/**
 * A model with quantized weights and made-up activation scales: values reach ±4, each with a slightly different scale. The model
 * itself is prepared in place.
 */
export async function quantizedNetwork(
  t: TestContext,
  model: Model,
  recipe: Recipe = {},
): Promise<QuantizedModel & { readonly weights: ReadonlyMap<Tensor, QuantizedWeight> }> {
  const scratchDir = temporaryFolder(t);
  const scratch = new ScratchTensors(join(scratchDir, 'tensors.bin'));
  await prepareModel(model, { runtime: createOnnxRuntime(), scratch, scratchDir, maxResultBytes: 2 ** 20 });
  const resolved = resolveRecipe(recipe);
  const wanted = planLayers(findLayers(model).layers, resolved);
  const activations = await planActivations(model.graph, wanted, resolved.activations.shortcuts);
  const layers = settleActivationBits(wanted, activations);
  const scales = new Map(
    activations.observed.map((name, i): [string, ActivationScale] => {
      const maxCode = activations.maxCodes.get(name) ?? 255;
      const isNonNegative = activations.nonNegative.has(name);
      const zeroPoint = isNonNegative ? 0 : Math.round(LEVELS_BELOW_ZERO * maxCode);
      return [name, { scale: Math.fround(((isNonNegative ? 4 : 8) + i / 16) / maxCode), zeroPoint, maxCode }];
    }),
  );
  const { recipe: weights } = await quantizeWeights(layers, {
    scratch,
    smallestInputScale: ({ node }) => scales.get(layerInput(activations, node)?.rangeOf ?? '')?.scale ?? null,
    onLayer: async () => {},
  });
  return { prepared: model, layers, activations, scales, weights };
}
