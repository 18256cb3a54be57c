import {
  checkRecipe,
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
}

/**
 * Checks what needs neither model nor data.
 * @throws TritforgeError RECIPE_INVALID, CALIBRATION_REQUIRED, METRIC_UNSUPPORTED
 */
export function checkWanted(
  { recipe = {}, metric, gates }: WantedJob,
  has: { calibration: boolean; evaluation: boolean },
): void {
  checkRecipe(recipe);
  if (quantizesActivations(recipe) && !has.calibration) {
    throw new TritforgeError(
      'CALIBRATION_REQUIRED',
      'The recipe quantizes activations and the job has no calibration data',
      {
        field: 'datasets.calibration',
        remediation: 'Add a calibration dataset, or set recipe.activations.bits to null to quantize weights only.',
      },
    );
  }
  if (resolveRecipe(recipe).sensitivity && !has.calibration) {
    throw new TritforgeError(
      'CALIBRATION_REQUIRED',
      'The recipe asks for measurements and the job has no calibration data',
      {
        field: 'datasets.calibration',
        remediation: 'Add a calibration dataset, or choose another method than auto and leave recipe.sensitivity out.',
      },
    );
  }
  if (has.evaluation) return;
  if (metric !== undefined) throw needsEvaluation('metric', `The metric ${metric}`);
  if (gates?.maxAccuracyDrop !== undefined) throw needsEvaluation('gates.maxAccuracyDrop', 'The gate maxAccuracyDrop');
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
