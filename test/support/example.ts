import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { exampleImages } from './datasets.js';
import { type FormEntries, file } from './http.js';

/** The example model and what belongs to it. */
export const EXAMPLE = fileURLToPath(new URL('../../../examples/shapes/', import.meta.url));

/** A form for a job on the example model with few images, which takes about a second. */
export function exampleEntries(recipe: object = {}): FormEntries {
  const preprocess = JSON.parse(readFileSync(`${EXAMPLE}preprocess.json`, 'utf8'));
  return [
    ['model', file(readFileSync(`${EXAMPLE}model.onnx`), 'model.onnx')],
    ['calibration', file(exampleImages(16, 1), 'calibration.npz')],
    ['job', JSON.stringify({ recipe, preprocess })],
  ];
}
