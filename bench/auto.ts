/**
 * Searches for the smallest network of each real classifier whose accuracy is within a limit, and writes a table.
 *
 *     npm run bench -- shared-data SETS
 *     npm run bench -- auto SETS [--model resnet20] [--drop 1 | --body-bits 2.7] [--evaluations 24] [--samples 1024] [--write]
 *
 * Rows are appended to bench/results/auto.jsonl (--rows FILE); the page shows the newest of each model and, with --write, becomes
 * bench/results/auto.md. The ImageNet networks take from minutes to an hour each.
 */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Recipe } from '@tritforge/contracts';
import { appendRow, readRows } from './accuracy/rows.js';
import { withinBodyBits } from './auto/body-limit.js';
import type { AutoMeasurement, AutoRequest } from './auto/measure-one.js';
import { type AutoRow, autoPage } from './auto/page.js';
import { measureInProcess } from './shared/measure-in-process.js';
import { readModels } from './shared-data/datasets.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const MEASURE = fileURLToPath(new URL('./auto/measure-one.js', import.meta.url));

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: '' },
    drop: { type: 'string', default: '1' },
    'body-bits': { type: 'string' },
    evaluations: { type: 'string', default: '24' },
    samples: { type: 'string', default: '1024' },
    rows: { type: 'string', default: path.join(RESULTS, 'auto.jsonl') },
    write: { type: 'boolean', default: false },
  },
});
await main();

async function main(): Promise<void> {
  if (positionals[0] === undefined) throw new Error('Usage: npm run bench -- auto SETS [--model TEXT] [--write]');
  const models = (await readModels(path.resolve(positionals[0]))).filter(
    ({ name, metric }) => name.includes(options.model) && metric === 'top1',
  );
  const evaluations = Number(options.evaluations);
  const bodyBits = options['body-bits'] === undefined ? null : Number(options['body-bits']);
  const maxAccuracyDrop = Number(options.drop);
  const calibrationSamples = Number(options.samples);
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: RESULTS, encoding: 'utf8' }).trim();
  for (const model of models) {
    const limited =
      bodyBits === null ? { search: { maxAccuracyDrop } } : await withinBodyBits(model.modelPath, bodyBits);
    const recipe: Recipe = { method: 'auto', ...limited, search: { ...limited.search, evaluations } };
    const request: AutoRequest = { model, recipe, calibrationSamples };
    const measurement = await measureInProcess<AutoMeasurement>(MEASURE, JSON.stringify(request));
    const cpu = os.cpus()[0]?.model.trim() ?? 'unknown';
    const row: AutoRow = {
      model: model.name,
      maxAccuracyDrop,
      bodyBits,
      evaluations,
      calibrationSamples,
      ...measurement,
      cpu,
      commit,
    };
    await appendRow(options.rows, row);
    process.stderr.write(`${model.name}: ${measurement.seconds.toFixed(0)} s\n`);
  }
  const page = autoPage(await readRows<AutoRow>(options.rows));
  if (options.write) await writeFile(path.join(RESULTS, 'auto.md'), page);
  else process.stdout.write(page);
}
