import type { ResolvedRecipe } from '@tritforge/contracts';
import { layerInput, withoutBranches } from '../activations/activation-bits.js';
import type { QuantizedModel } from '../artifact/build-graph.js';
import { throwIfCanceled } from '../cancellation.js';
import { type InOrderOptions, quantizeInOrder } from '../in-order/quantize-in-order.js';
import type { Tensor } from '../ir/index.js';
import { encodeWeights, type QuantizedWeight } from '../layers/encoded-weight.js';
import { type QuantizedWeights, quantizeWeights } from '../layers/quantize-weights.js';
import { readRows } from '../layers/weight-rows.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import type { JobDataset } from './job-data.js';

/** A network whose activations are calibrated and whose weights are not quantized yet. */
export interface CalibratedNetwork extends Omit<QuantizedModel, 'weights'> {
  /** Scales of the int8 model that it is compared with. */
  readonly eightBitScales: QuantizedModel['scales'];
}

/** What quantizing weights needs. */
export interface WeightsStep extends Omit<InOrderOptions, 'recipe' | 'calibration' | 'onLayer' | 'onSolved'> {
  readonly recipe: ResolvedRecipe;
  readonly calibration: JobDataset | null;
  readonly scratch: ScratchTensors;
  /** Called before each layer and after the last, with what the rest will take as far as that is known; may throw to stop. */
  readonly onLayer: (done: number, total: number, secondsLeft: number | null) => void;
}

/** The network, and the int8 model that it is compared with. */
export interface QuantizedNetworks {
  readonly network: QuantizedModel & { readonly weights: QuantizedWeights['recipe'] };
  readonly int8: QuantizedModel;
}

/** Quantizes the weights of a network: in order where the recipe's solver or correction wants to see data, else each for itself. */
export async function quantizeNetwork(source: CalibratedNetwork, step: WeightsStep): Promise<QuantizedNetworks> {
  const { eightBitScales, ...calibrated } = source;
  const solved = await solveInOrder(calibrated, step);
  const weights = await quantizeWeights(source.layers, {
    scratch: step.scratch,
    solved: solved.weights,
    smallestInputScale: ({ node }) => {
      const value = layerInput(source.activations, node);
      if (value === undefined) return null;
      const { rangeOf } = source.activations.values.get(node.inputs[0]!)!;
      return Math.min(source.scales.get(value.rangeOf)!.scale, eightBitScales.get(rangeOf)!.scale);
    },
    onLayer: async (done, total) => {
      if (solved.weights.size === 0) step.onLayer(done, total, null);
      else throwIfCanceled(step.signal);
    },
  });
  return {
    network: { ...calibrated, layers: solved.layers, weights: weights.recipe },
    int8: {
      ...calibrated,
      activations: withoutBranches(calibrated.activations),
      scales: eightBitScales,
      weights: weights.baseline,
    },
  };
}

/** Whether the recipe's solver or correction wants to see data. */
export function isSolvedInOrder({ weights, correction }: ResolvedRecipe): boolean {
  return weights.solver !== 'exact' || weights.target !== 'weights' || correction.length > 0;
}

/** Layers that want to see data; none where there are no data. */
async function solveInOrder(source: Omit<QuantizedModel, 'weights'>, step: WeightsStep) {
  const { recipe, calibration, scratch, onLayer } = step;
  const weights = new Map<Tensor, QuantizedWeight>();
  if (!isSolvedInOrder(recipe) || calibration === null) return { layers: source.layers, weights };
  const layers = await quantizeInOrder(source, {
    ...step,
    calibration,
    onLayer: async (done, total, secondsLeft) => onLayer(done, total, secondsLeft),
    onSolved: async ({ layer }, { codes }) => {
      const encoded = await encodeWeights(codes, await readRows(layer), layer, scratch);
      weights.set(layer.weight, encoded);
      return encoded.decoded;
    },
  });
  return { layers, weights };
}
