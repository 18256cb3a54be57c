/**
 * Fine-tunes the real test models from their quantized start, without labels, and writes a table of accuracy before and after.
 *
 *     npm run bench -- shared-data SETS
 *     npm run bench -- fine-tune SETS [--model resnet20] [--case N=64] [--fine-tune JSON] [--checkpoints DIR] [--write]
 *
 * All of it takes hours. Rows are appended to bench/results/fine-tune.jsonl (--rows FILE); the page shows the newest of each case and,
 * with --write, becomes bench/results/fine-tune.md. --fine-tune changes fields of `recipe.fineTune`, such as '{"minutes":1}'. A training
 * that was interrupted goes on with the same --checkpoints.
 */
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Recipe } from '@tritforge/contracts';
import type { RowRequest } from './accuracy/measure-one.js';
import { appendRow, type Measurement, readRows } from './accuracy/rows.js';
import { commitName } from './accuracy/versions.js';
import { CASES } from './fine-tune/cases.js';
import { type FineTuneRow, fineTunePage } from './fine-tune/page.js';
import { measureInProcess } from './shared/measure-in-process.js';
import { readModels } from './shared-data/datasets.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const MEASURE = fileURLToPath(new URL('./accuracy/measure-one.js', import.meta.url));

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: '' },
    case: { type: 'string' },
    'fine-tune': { type: 'string', default: '{}' },
    checkpoints: { type: 'string' },
    rows: { type: 'string', default: path.join(RESULTS, 'fine-tune.jsonl') },
    write: { type: 'boolean', default: false },
  },
});
await main();

async function main(): Promise<void> {
  if (positionals[0] === undefined) throw new Error('Usage: npm run bench -- fine-tune SETS [--model TEXT] [--write]');
  const models = (await readModels(path.resolve(positionals[0]))).filter(({ name }) => name.includes(options.model));
  const measure = (request: RowRequest) => measureInProcess<Measurement>(MEASURE, JSON.stringify(request));
  for (const model of models) {
    const cases = CASES.filter((one) => model.name.startsWith(one.model) && (options.case ?? one.name) === one.name);
    for (const { name, recipe, fineTune, usesTrainingSet = false } of cases) {
      const changed: Recipe['fineTune'] = { ...fineTune, ...(JSON.parse(options['fine-tune']) as object) };
      const tuned = { ...recipe, fineTune: changed };
      const before = await measure({ model, recipe });
      const after = await measure({
        model,
        recipe: tuned,
        usesTrainingSet,
        ...(options.checkpoints && { checkpointDir: path.resolve(options.checkpoints, `${model.name} ${name}`) }),
      });
      const cpu = os.cpus()[0]?.model.trim() ?? 'unknown';
      const row: FineTuneRow = { model: model.name, name, recipe: tuned, before, after, cpu, commit: commitName() };
      await appendRow(options.rows, row);
      process.stderr.write(`${model.name}, ${name}: ${after.fineTune!.seconds.toFixed(0)} s\n`);
    }
  }
  const page = fineTunePage(await readRows<FineTuneRow>(options.rows));
  if (options.write) await writeFile(path.join(RESULTS, 'fine-tune.md'), page);
  else process.stdout.write(page);
}
