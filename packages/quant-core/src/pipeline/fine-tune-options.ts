/** What recipes say of trainings, as the trainings take it. */
import { type ResolvedFineTune, TritforgeError } from '@tritforge/contracts';
import type { Laboratory } from '../calibrate/observed-model.js';
import { scoringOf } from '../evaluate/scoring-of.js';
import type { Model } from '../ir/index.js';
import type { Runtime } from '../runtime/runtime.js';
import type { DistillationLoss } from '../train/distilled-graph.js';
import type { Augmentation } from '../train/messages.js';
import type { JobDataset } from './job-data.js';

/** What the squared error of scores adds to the divergence: it says something where probabilities are all but 0 and 1. */
const SCORES_WEIGHT = 0.05;

/** Unless told, classes are distilled where the network ranks classes, and all outputs are compared elsewhere. */
export async function lossOf(
  { loss, temperature }: ResolvedFineTune,
  teacher: Model,
  samples: JobDataset,
  { runtime, scratchDir }: { readonly runtime: Runtime; readonly scratchDir: string },
): Promise<DistillationLoss> {
  if (loss === 'mse') return { kind: 'mse' };
  const laboratory: Laboratory = { runtime, scratchDir, options: { threads: 1, optimization: 'all' } };
  const { output, hasClasses } = await scoringOf(teacher, samples, laboratory);
  if (hasClasses) return { kind: 'distill', output, temperature, scores: SCORES_WEIGHT };
  if (loss === null) return { kind: 'mse' };
  throw new TritforgeError('RECIPE_INVALID', 'recipe.fineTune.loss is for scores of classes, and no output has them', {
    field: 'recipe.fineTune.loss',
    remediation: 'Choose mse, or leave it out.',
  });
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
