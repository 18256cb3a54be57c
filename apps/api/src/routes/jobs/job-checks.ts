import {
  checkRecipe,
  type DatasetRole,
  type DatasetSummary,
  type Gates,
  type Metric,
  type Recipe,
  resolveRecipe,
  TritforgeError,
} from '@tritforge/contracts';

/** What a job asks for, whichever way it came. */
export interface WantedJob {
  readonly recipe?: Recipe;
  readonly metric?: Metric;
  readonly gates?: Gates;
  readonly deadlineSeconds?: number;
}

/**
 * Checks what needs neither model nor data.
 * @param roles what the job has data for
 * @throws TritforgeError RECIPE_INVALID, CALIBRATION_REQUIRED, METRIC_UNSUPPORTED
 */
export function checkWanted(
  { recipe = {}, metric, gates, deadlineSeconds }: WantedJob,
  roles: readonly DatasetRole[],
): void {
  checkRecipe(recipe);
  checkData(recipe, roles);
  if (deadlineSeconds !== undefined) checkDeadline(recipe, deadlineSeconds);
  if (roles.includes('evaluation')) return;
  if (metric !== undefined) throw needsEvaluation('metric', `The metric ${metric}`);
  if (gates?.maxAccuracyDrop !== undefined) throw needsEvaluation('gates.maxAccuracyDrop', 'The gate maxAccuracyDrop');
}

/** What the recipe asks for has its data, and the training data have a recipe that asks for them. */
function checkData(recipe: Recipe, roles: readonly DatasetRole[]): void {
  const { sensitivity, fineTune } = resolveRecipe(recipe);
  const hasCalibration = roles.includes('calibration');
  if (quantizesActivations(recipe) && !hasCalibration) {
    throw new TritforgeError(
      'CALIBRATION_REQUIRED',
      'The recipe quantizes activations and the job has no calibration data',
      {
        field: 'datasets.calibration',
        remediation: 'Add a calibration dataset, or set recipe.activations.bits to null to quantize weights only.',
      },
    );
  }
  if (sensitivity && !hasCalibration) {
    throw new TritforgeError(
      'CALIBRATION_REQUIRED',
      'The recipe asks for measurements and the job has no calibration data',
      {
        field: 'datasets.calibration',
        remediation: 'Add a calibration dataset, or choose another method than auto and leave recipe.sensitivity out.',
      },
    );
  }
  if (fineTune !== null && !hasCalibration && !roles.includes('training')) {
    throw new TritforgeError(
      'CALIBRATION_REQUIRED',
      'The recipe asks for fine-tuning and the job has neither training nor calibration data',
      {
        field: 'datasets.training',
        remediation:
          'Add a training or a calibration dataset, without labels if there are none, or leave recipe.fineTune out.',
      },
    );
  }
  if (fineTune === null && roles.includes('training')) {
    throw new TritforgeError('RECIPE_INVALID', 'The job has training data and its recipe asks for no fine-tuning', {
      field: 'recipe.fineTune',
      remediation: 'Add "fineTune": {} to the recipe, or leave the training dataset out.',
    });
  }
}

/** A training or a search that is to take longer than the whole job would be lost; a training that may stop early need not be. */
function checkDeadline(recipe: Recipe, deadlineSeconds: number): void {
  const { nce, fineTune } = resolveRecipe(recipe);
  const training = fineTune === null || fineTune.patience !== null ? 0 : (fineTune.minutes ?? 0);
  const search = nce?.minutes ?? 0;
  if ((training + search) * 60 < deadlineSeconds) return;
  const given = [
    ...(search > 0 ? [`the search ${search}`] : []),
    ...(training > 0 ? [`the training ${training}`] : []),
  ].join(' and ');
  throw new TritforgeError(
    'RECIPE_INVALID',
    `The recipe gives ${given} minutes, and the whole job has ${deadlineSeconds} seconds`,
    {
      field: training > search ? 'recipe.fineTune.minutes' : 'recipe.nce.minutes',
      remediation: 'Give it less time, or raise deadlineSeconds; quantizing and measuring take time too.',
    },
  );
}

function quantizesActivations(recipe: Recipe): boolean {
  const { activations, layers } = resolveRecipe(recipe);
  return activations.bits !== null || layers.some(({ set }) => set.activationBits !== undefined);
}

function needsEvaluation(field: string, subject: string): TritforgeError {
  return new TritforgeError('METRIC_UNSUPPORTED', `${subject} needs evaluation data and the job has none`, {
    field,
    remediation: `Add an evaluation dataset, or leave ${field} out.`,
  });
}

/** @throws TritforgeError DATASET_LABELS_MISSING when the metric compares with labels and there are none */
export function checkLabels(metric: Metric | undefined, evaluation: DatasetSummary): void {
  if ((metric !== 'top1' && metric !== 'top5') || evaluation.labels !== null) return;
  throw new TritforgeError(
    'DATASET_LABELS_MISSING',
    `The metric ${metric} needs labels and the evaluation data has none`,
    {
      field: 'datasets.evaluation',
      remediation: 'Add labels to the dataset, or choose the metric agreement, which compares with the original model.',
    },
  );
}
