import { readFileSync } from 'node:fs';
import type { Preprocess, Recipe } from '@tritforge/contracts';
import { exampleImages } from '#test/support/datasets';
import { EXAMPLE } from '#test/support/example';
import { type FormFile, file } from '#test/support/http';
import { classifier } from '#test/support/models';

const IMAGES = 16;

/** A model, data and a recipe: the same of them give the same artifact, byte by byte, whatever happens on the way. */
export interface Work {
  readonly model: FormFile;
  readonly calibration?: FormFile;
  readonly preprocess?: Preprocess;
  readonly recipe: Recipe;
}

const shapes = {
  model: file(readFileSync(`${EXAMPLE}model.onnx`), 'shapes.onnx'),
  calibration: file(exampleImages(IMAGES), 'calibration.npz'),
  preprocess: JSON.parse(readFileSync(`${EXAMPLE}preprocess.json`, 'utf8')) as Preprocess,
};

/** What jobs do; each takes a second or so. */
export const WORKS = {
  'int8 of the example': { ...shapes, recipe: { method: 'int8' } },
  'FGQ of the example': { ...shapes, recipe: { method: 'fgq', weights: { groupSize: 4 } } },
  'FGQ weights of a classifier': {
    model: file(classifier(7), 'classifier.onnx'),
    recipe: { method: 'fgq', activations: { bits: null } },
  },
} as const satisfies Record<string, Work>;

export type WorkName = keyof typeof WORKS;

/** What is there from the first round on, and must be there after each. */
export const KEEPSAKE: Work = {
  model: file(classifier(99), 'keepsake.onnx'),
  recipe: { method: 'fgq', activations: { bits: null } },
};
