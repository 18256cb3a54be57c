import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Recipe, Report } from '@tritforge/contracts';
import type { RealModel } from '../shared-data/datasets.js';

/** Quantizes with `tritforge quantize --json`. */
export async function quantizeByCommand(root: string, model: RealModel, recipe: Recipe): Promise<Report> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tritforge-bench-'));
  try {
    const recipeFile = path.join(folder, 'recipe.json');
    await writeFile(recipeFile, JSON.stringify(recipe));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        path.join(root, 'packages/cli/bin/tritforge.mjs'),
        'quantize',
        model.modelPath,
        ...['--out', path.join(folder, 'out'), '--recipe', recipeFile, '--metric', model.metric, '--json'],
        ...['--calibration', model.calibration, '--evaluation', model.evaluation],
        ...(model.preprocess === null ? [] : ['--preprocess', model.preprocess]),
      ],
      { maxBuffer: 64 * 1024 * 1024 },
    );
    return JSON.parse(stdout) as Report;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
