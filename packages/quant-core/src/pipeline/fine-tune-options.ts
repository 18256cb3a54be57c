/** What recipes say of trainings, as the trainings take it. */
import { type ResolvedFineTune, TritforgeError } from '@tritforge/contracts';
import { knownShapes } from '../autodiff/gradients.js';
import type { Laboratory } from '../calibrate/observed-model.js';
import { scoringOf } from '../evaluate/scoring-of.js';
import { batchSymbols, type Model, NameAllocator } from '../ir/index.js';
import type { Runtime } from '../runtime/runtime.js';
import type { DistillationLoss } from '../train/distilled-graph.js';
import type { LabelPlan } from '../train/labelled-samples.js';
import type { Augmentation } from '../train/messages.js';
import { rowsOfSample } from '../train/supervised-loss.js';
import type { JobDataset } from './job-data.js';

/** What the squared error of scores adds to the divergence: it says something where probabilities are all but 0 and 1. */
const SCORES_WEIGHT = 0.05;

/**
 * Unless told, classes are distilled where the network ranks classes, and all outputs are compared elsewhere.
 * @throws TritforgeError RECIPE_INVALID where the outputs are no scores of classes and the recipe needs some
 */
export async function lossOf(
  { loss, temperature, labels }: ResolvedFineTune,
  teacher: Model,
  samples: JobDataset,
  { runtime, scratchDir }: { readonly runtime: Runtime; readonly scratchDir: string },
): Promise<DistillationLoss> {
  if (loss === 'mse') return { kind: 'mse' };
  const laboratory: Laboratory = { runtime, scratchDir, options: { threads: 1, optimization: 'all' } };
  const { output, hasClasses } = await scoringOf(teacher, samples, laboratory);
  if (hasClasses) {
    const plan = labels === 0 ? null : { ...labelPlanOf(teacher, output), weight: labels };
    return { kind: 'distill', output, temperature, scores: SCORES_WEIGHT, labels: plan };
  }
  if (loss === null && labels === 0) return { kind: 'mse' };
  const field = `recipe.fineTune.${labels > 0 ? 'labels' : 'loss'}`;
  throw new TritforgeError('RECIPE_INVALID', `${field} is for scores of classes, and no output has them`, {
    field,
    remediation: labels > 0 ? 'Leave it out.' : 'Choose mse, or leave it out.',
  });
}

function labelPlanOf(teacher: Model, output: string): LabelPlan {
  const one = new Map(batchSymbols(teacher).map((symbol) => [symbol, 1]));
  const shape = knownShapes(teacher, one).get(output);
  if (shape === undefined)
    throw new TritforgeError(
      'RECIPE_INVALID',
      `recipe.fineTune.labels needs the shape of ${output}, which cannot be told`,
      {
        field: 'recipe.fineTune.labels',
        remediation: 'Leave it out, or export the network with fixed sizes of all dimensions but the batch.',
      },
    );
  return { labelInput: new NameAllocator(teacher).value('labels'), ...rowsOfSample(shape) };
}

/** Changes the first input of the network. */
export function augmentationOf(
  { crop, shift, mirror, mix }: ResolvedFineTune['augment'],
  { graph }: Model,
): Augmentation | null {
  const isImages = crop < 1 || shift > 0 || mirror;
  if (!isImages && !mix) return null;
  const { name, dtype, shape } = graph.inputs.find((input) => !graph.initializers.has(input.name))!;
  if (dtype === 'float32' && (!isImages || shape?.length === 4))
    return { input: name, leastArea: crop < 1 ? crop : undefined, maxShift: shift, mirrors: mirror, mixes: mix };
  const field = `recipe.fineTune.augment.${isImages ? (crop < 1 ? 'crop' : shift > 0 ? 'shift' : 'mirror') : 'mix'}`;
  const wanted = isImages ? 'float32 images, [N, C, H, W]' : 'float32';
  throw new TritforgeError(
    'RECIPE_INVALID',
    `${field} is for ${wanted}, and the input ${name} is ${dtype} [${shape}]`,
    {
      field,
      remediation: 'Leave it out.',
    },
  );
}
