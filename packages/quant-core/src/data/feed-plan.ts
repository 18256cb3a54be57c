/**
 * How the arrays of a dataset go into the inputs of a model.
 *
 * An array has the rank of its input: dimension 0 of the input is the batch, and many samples go in at once. Where the
 * model fixes that dimension to B, runs take exactly B samples; the last one is padded. An array has one dimension more
 * than its input: the input has no batch, and every sample is a run of its own; then all inputs run sample by sample.
 * Inputs that follow from the tokens of a sample may have no array (decoder-inputs.ts).
 */
import { type DatasetSummary, type Preprocess, TritforgeError } from '@tritforge/contracts';
import type { DataType, Dimension } from '../ir/index.js';
import { isCastable } from './cast.js';
import { type MadeInput, madeInput } from './decoder-inputs.js';
import { changesValues, preprocessedArray, quoted } from './preprocess-target.js';

/** An input of a model as a session or a summary lists it; inputs that have an initializer are left out. */
export interface ModelInput {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly Dimension[] | null;
}

export interface PlannedInput {
  readonly input: string;
  readonly array: string;
  /** The input's dtype; samples are cast to it. */
  readonly dtype: DataType;
  /** Whether dimension 0 of the input is the batch. */
  readonly batched: boolean;
}

/** Made by {@link planFeeds}, used by `feedsOf`. */
export interface FeedPlan {
  readonly inputs: readonly PlannedInput[];
  /** Inputs without an array. */
  readonly made: readonly MadeInput[];
  /** False when some input has no batch dimension: then every run is one sample and outputs have no sample dimension of their own. */
  readonly batched: boolean;
  /** Samples that every run must have: the batch dimension that the model fixes, or 1; null when any number goes. */
  readonly runSamples: number | null;
}

type ArrayInfo = DatasetSummary['arrays'][number];

/**
 * Plans how samples become feeds.
 * @param modelInputs the inputs to fill, those with initializers left out
 * @param preprocess the description that the dataset is opened with
 * @throws TritforgeError DATASET_NAME_MISMATCH, DATASET_SHAPE_MISMATCH, DATASET_DTYPE_MISMATCH
 */
export function planFeeds(
  modelInputs: readonly ModelInput[],
  summary: DatasetSummary,
  preprocess: Preprocess | null,
): FeedPlan {
  const { pairs, made } = matchNames(modelInputs, summary, preprocess);
  const inputs = pairs.map(([input, array]) => ({
    input: input.name,
    array: array.name,
    dtype: checkDtype(input, array, fedDtype(array, summary, preprocess)),
    batched: isBatched(input, array),
  }));
  const batched = inputs.every((input) => input.batched);
  checkShapes(pairs, batched);
  return { inputs, made, batched, runSamples: batched ? fixedBatch(pairs) : 1 };
}

/**
 * Checks that a dataset fits a model, by names, dtypes and shapes; reads no samples.
 * @throws TritforgeError as {@link planFeeds}
 */
export function checkDataset(
  modelInputs: readonly ModelInput[],
  summary: DatasetSummary,
  preprocess: Preprocess | null,
): void {
  planFeeds(modelInputs, summary, preprocess);
}

interface MatchedNames {
  readonly pairs: readonly (readonly [ModelInput, ArrayInfo])[];
  readonly made: readonly MadeInput[];
}

function matchNames(
  modelInputs: readonly ModelInput[],
  summary: DatasetSummary,
  preprocess: Preprocess | null,
): MatchedNames {
  if (summary.format !== 'npz' && preprocess?.input === undefined) {
    if (modelInputs.length === 1) return { pairs: [[modelInputs[0]!, summary.arrays[0]!]], made: [] };
    throw new TritforgeError(
      'DATASET_NAME_MISMATCH',
      `the model has the inputs ${quoted(modelInputs.map(({ name }) => name))}; the dataset has images for one of them`,
      { field: 'preprocess.input', remediation: 'Name the input that takes the images in preprocess.input.' },
    );
  }
  const arrays = new Map(summary.arrays.map((array) => [array.name, array]));
  const fed = modelInputs.filter(({ name }) => arrays.has(name));
  if (fed.length === 0 || fed.length !== arrays.size) throw nameMismatch(modelInputs, arrays);
  const made = modelInputs
    .filter(({ name }) => !arrays.has(name))
    .map((input) => {
      const found = madeInput(input);
      if (found === null) throw nameMismatch(modelInputs, arrays);
      return found;
    });
  return { pairs: fed.map((input) => [input, arrays.get(input.name)!]), made };
}

function nameMismatch(modelInputs: readonly ModelInput[], arrays: ReadonlyMap<string, ArrayInfo>): TritforgeError {
  const inputs = quoted(modelInputs.map(({ name }) => name));
  const missing = modelInputs.find((input) => !arrays.has(input.name) && madeInput(input) === null);
  const shape = missing?.shape?.map((size) => size ?? '?').join(', ');
  return new TritforgeError(
    'DATASET_NAME_MISMATCH',
    `the model has the inputs ${inputs}; the dataset has the arrays ${quoted([...arrays.keys()])}`,
    {
      field: missing?.name ?? 'datasets',
      remediation:
        missing === undefined
          ? 'Name exactly one array after every input of the model.'
          : `Add an array '${missing.name}' of ${missing.dtype}${shape === undefined ? '' : `, for an input of shape [${shape}]`}, and name exactly one array after every input of the model.`,
    },
  );
}

/** The dtype of an array once it is preprocessed. */
function fedDtype(array: ArrayInfo, summary: DatasetSummary, preprocess: Preprocess | null): DataType {
  if (preprocess === null || !changesValues(preprocess)) return array.dtype as DataType;
  const target = preprocessedArray(summary.arrays, preprocess);
  return array.name === target ? 'float32' : (array.dtype as DataType);
}

function checkDtype(input: ModelInput, array: ArrayInfo, from: DataType): DataType {
  const to = input.dtype as DataType;
  if (isCastable(from, to)) return to;
  throw new TritforgeError(
    'DATASET_DTYPE_MISMATCH',
    `array '${array.name}' gives ${from} values and input '${input.name}' takes ${to}`,
    { field: array.name, remediation: `Store the array as ${to}.` },
  );
}

function isBatched(input: ModelInput, array: ArrayInfo): boolean {
  if (input.shape === null || input.shape.length === array.shape.length) return true;
  if (input.shape.length + 1 === array.shape.length) return false;
  throw shapeMismatch(input, array, 'their ranks differ by more than the dimension that counts the samples');
}

function checkShapes(pairs: MatchedNames['pairs'], batched: boolean): void {
  const symbols = new Map<string, { size: number; input: string }>();
  for (const [input, array] of pairs) {
    if (input.shape === null) continue;
    const sample = array.shape.slice(1);
    const sizes = isBatched(input, array) ? [batched ? null : 1, ...sample] : sample;
    for (const [axis, size] of sizes.entries()) {
      if (size !== null) checkDimension(input, array, axis, size, symbols);
    }
  }
}

function checkDimension(
  input: ModelInput,
  array: ArrayInfo,
  axis: number,
  size: number,
  symbols: Map<string, { size: number; input: string }>,
): void {
  const dimension = input.shape![axis]!;
  if (typeof dimension === 'number') {
    if (dimension >= 0 && dimension !== size) {
      throw shapeMismatch(input, array, `dimension ${axis} of the input is ${dimension}, the samples have ${size}`);
    }
    return;
  }
  if (dimension === null || dimension === '') return;
  const known = symbols.get(dimension);
  if (known !== undefined && known.size !== size) {
    throw shapeMismatch(input, array, `'${dimension}' is ${known.size} in input '${known.input}' and ${size} here`);
  }
  symbols.set(dimension, known ?? { size, input: input.name });
}

/** The batch dimension that the model fixes, if it does. */
function fixedBatch(pairs: MatchedNames['pairs']): number | null {
  let fixed: number | null = null;
  for (const [input, array] of pairs) {
    const batch = input.shape?.[0];
    if (typeof batch !== 'number' || batch < 0) continue;
    if (batch === 0 || (fixed !== null && fixed !== batch)) {
      throw shapeMismatch(input, array, `a batch of ${batch} does not go with the other inputs`);
    }
    fixed = batch;
  }
  return fixed;
}

function shapeMismatch(input: ModelInput, array: ArrayInfo, why: string): TritforgeError {
  const inputShape = `[${input.shape!.map((size) => size ?? '?').join(', ')}]`;
  return new TritforgeError(
    'DATASET_SHAPE_MISMATCH',
    `array '${array.name}' [${array.shape.join(', ')}] does not fit input '${input.name}' ${inputShape}: ${why}`,
    {
      field: array.name,
      remediation:
        'Give the samples the shape of the input, with the number of samples in place of (or, without a batch, before) dimension 0.',
    },
  );
}
