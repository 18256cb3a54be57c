/**
 * The step of a job that trains a network of other channels before it is quantized. Its weights are those of channels that are not there any
 * more, or are there twice; 2 bits are too coarse to mend that. It is the training that follows (pipeline/fine-tune-network.ts), of the same
 * network with 8-bit weights and floating-point activations, which is as good as floating point.
 */
import {
  type NceReport,
  type ResolvedFineTune,
  type ResolvedRecipe,
  resolveRecipe,
  type Warning,
} from '@tritforge/contracts';
import type { Model, Tensor } from '../ir/index.js';
import type { Start } from '../train/fine-tune.js';
import { type FineTuneStep, fineTuneNetwork } from './fine-tune-network.js';

/** The network that was trained, with the weights and biases that were learned. */
export interface RecoveredNetwork {
  readonly model: Model;
  readonly report: NonNullable<NceReport['recovery']>;
  readonly warnings: readonly Warning[];
}

/** How a network is quantized that is to be as good as in floating point. */
export const RECOVERY: ResolvedRecipe = resolveRecipe({
  method: 'int8',
  weights: { solver: 'exact' },
  activations: { bits: null },
});

/**
 * @param network by the recipe {@link RECOVERY}
 * @param asked of the training that follows: batches, loss, variations of samples and rates are the same
 * @returns the network as it was where no epoch made it better
 * @throws TritforgeError as {@link fineTuneNetwork}
 */
export async function recoverNetwork(
  network: Start,
  { epochs, asked }: { readonly epochs: number; readonly asked: ResolvedFineTune },
  step: Omit<FineTuneStep, 'phase'>,
): Promise<RecoveredNetwork> {
  const settings: ResolvedFineTune = { ...asked, epochs, minutes: null, anchor: 0, keep: 'last', normalize: true };
  const trained = await fineTuneNetwork(network, settings, { ...step, phase: 'recover' });
  const { bestEpoch, curve, seconds } = trained.report;
  const lossAt = (epoch: number) => curve[epoch]!.heldOutLoss;
  return {
    model: bestEpoch === 0 ? network.prepared : withLearned(network, trained.network),
    report: { epochs: curve.length - 1, seconds, before: lossAt(0), after: lossAt(bestEpoch) },
    warnings: trained.warnings,
  };
}

function withLearned({ prepared, layers }: Start, learned: Start): Model {
  const replaced = new Map<Tensor, Tensor>();
  for (const [i, { layer }] of layers.entries()) {
    const own = learned.layers[i]!.layer;
    replaced.set(layer.weight, learned.weights.get(layer.weight)!.decoded);
    if (layer.bias !== null) replaced.set(layer.bias, own.bias!);
  }
  const { graph } = prepared;
  const initializers = new Map([...graph.initializers].map(([name, tensor]) => [name, replaced.get(tensor) ?? tensor]));
  return { ...prepared, graph: { ...graph, initializers } };
}
