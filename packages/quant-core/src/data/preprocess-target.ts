import { type DatasetSummary, type Preprocess, TritforgeError } from '@tritforge/contracts';

/** Whether the description changes values: scale, mean or std. Then what it is applied to becomes float32. */
export function changesValues(preprocess: Preprocess): boolean {
  return preprocess.scale !== undefined || preprocess.mean !== undefined || preprocess.std !== undefined;
}

/**
 * The array that a preprocess description applies to: the one that `preprocess.input` names; else the only array; else
 * the only uint8 array. Null when there is no description or it asks for nothing.
 * @throws TritforgeError PREPROCESS_INVALID when the array does not exist or cannot be told
 */
export function preprocessedArray(arrays: DatasetSummary['arrays'], preprocess: Preprocess | null): string | null {
  if (preprocess === null) return null;
  const names = arrays.map((array) => array.name);
  const { input } = preprocess;
  if (input !== undefined) {
    if (names.includes(input)) return input;
    throw new TritforgeError(
      'PREPROCESS_INVALID',
      `preprocess.input names '${input}'; the dataset has ${quoted(names)}`,
      {
        field: 'preprocess.input',
        remediation: 'Name an array of the dataset.',
      },
    );
  }
  if (!changesValues(preprocess)) return null;
  if (names.length === 1) return names[0]!;
  const bytes = arrays.filter((array) => array.dtype === 'uint8');
  if (bytes.length === 1) return bytes[0]!.name;
  throw new TritforgeError('PREPROCESS_INVALID', `preprocess could apply to any of the arrays ${quoted(names)}`, {
    field: 'preprocess.input',
    remediation: 'Name the array to preprocess in preprocess.input.',
  });
}

/** Names in quotes, separated by commas; `none` when there are none. */
export function quoted(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.map((name) => `'${name}'`).join(', ');
}
