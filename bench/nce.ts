/**
 * Searches numbers of channels for networks of 2 bits, and trains what is found beside controls: the original widths, all widths times
 * one factor, and random widths, of no more multiply-accumulates.
 *
 *     npm run bench -- shared-data SETS
 *     npm run bench -- nce SETS [--model resnet8] [--seeds 3] [--only 'searched'] [--nce JSON] [--fine-tune JSON] [--checkpoints DIR] [--write]
 *
 * All of it takes hours. Rows are appended to bench/results/nce.jsonl (--rows FILE); the page shows the newest of each seed and, with
 * --write, becomes bench/results/nce.md. Rows that are there already are not measured again (--again). --nce and --fine-tune change fields
 * of the recipe. What was interrupted goes on with the same --checkpoints.
 */
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { NceReport, Recipe } from '@tritforge/contracts';
import { type ControlName, controlWidths, mulberry32, networkCost, searchSpace } from '@tritforge/quant-core/nce';
import { readModel } from '@tritforge/quant-core/onnx';
import type { RowRequest } from './accuracy/measure-one.js';
import { appendRow, type Measurement, readRows } from './accuracy/rows.js';
import { commitName } from './accuracy/versions.js';
import { type NceRow, ncePage } from './nce/page.js';
import { measureInProcess } from './shared/measure-in-process.js';
import { type RealModel, readModels } from './shared-data/datasets.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const MEASURE = fileURLToPath(new URL('./accuracy/measure-one.js', import.meta.url));

/** Epochs of the search, and of all training together. */
const EPOCHS: Readonly<Record<string, { readonly search: number; readonly all: number }>> = {
  resnet8: { search: 20, all: 50 },
  resnet20: { search: 15, all: 45 },
};

const CONTROLS: readonly ControlName[] = ['original', 'uniform', 'random'];

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'resnet' },
    seeds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    nce: { type: 'string', default: '{}' },
    'fine-tune': { type: 'string', default: '{}' },
    checkpoints: { type: 'string' },
    rows: { type: 'string', default: path.join(RESULTS, 'nce.jsonl') },
    again: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});
await main();

async function main(): Promise<void> {
  if (positionals[0] === undefined) throw new Error('Usage: npm run bench -- nce SETS [--model TEXT] [--write]');
  const models = (await readModels(path.resolve(positionals[0]))).filter(({ name }) => name.includes(options.model));
  for (const model of models) {
    const own = Object.keys(EPOCHS).find((name) => model.name.startsWith(name));
    if (own === undefined) continue;
    for (let seed = 1; seed <= Number(options.seeds); seed++) await measureSeed(model, EPOCHS[own]!, seed);
  }
  const page = ncePage(await readRows<NceRow>(options.rows));
  if (options.write) await writeFile(path.join(RESULTS, 'nce.md'), page);
  else process.stdout.write(page);
}

async function measureSeed(
  model: RealModel,
  { search, all }: { search: number; all: number },
  seed: number,
): Promise<void> {
  const searched = await row(model, 'searched', seed, recipeOf({ epochs: search }, all - search, seed));
  const { widths, macs } = searched.nce!;
  const { template, graph } = await searchSpace(await readModel(model.modelPath));
  const ids = widths.map(({ layers }) => graph.widths.find((width) => width.layers.includes(layers[0]!))!.id);
  const space = { graph, searched: ids, macs: networkCost(template, graph).macs };
  for (const name of CONTROLS) {
    if (options.only !== '' && !options.only.includes(name)) continue;
    const channels = controlWidths(name, space, macs.result, mulberry32(seed));
    const named = widths.map(({ layers }, i) => [layers[0]!, channels.get(ids[i]!)!] as const);
    await row(model, `${name} widths`, seed, recipeOf({ widths: Object.fromEntries(named) }, all, seed));
  }
}

function recipeOf(nce: NonNullable<Recipe['nce']>, epochs: number, seed: number): Recipe {
  const fields = JSON.parse(options.nce) as NonNullable<Recipe['nce']>;
  const controlFields = fields.inherit === 'none' ? { inherit: fields.inherit } : {};
  return {
    method: 'nce',
    nce: { ...nce, ...(nce.widths === undefined ? fields : controlFields) },
    fineTune: {
      epochs,
      batch: 128,
      learningRate: 0.01,
      weightScales: 'sawb',
      augment: { shift: 4, mirror: true },
      ...(JSON.parse(options['fine-tune']) as object),
    },
    seed,
  };
}

/** Measures a row unless it is there. */
async function row(
  model: RealModel,
  name: string,
  seed: number,
  recipe: Recipe,
): Promise<Measurement & { nce?: NceReport }> {
  const known = (await readRows<NceRow>(options.rows)).findLast(
    (one) =>
      one.model === model.name &&
      one.name === name &&
      one.seed === seed &&
      JSON.stringify(one.recipe) === JSON.stringify(recipe),
  );
  if (known !== undefined && !options.again) return known.measured;
  const request: RowRequest = {
    model,
    recipe,
    usesTrainingSet: true,
    ...(options.checkpoints && { checkpointDir: path.resolve(options.checkpoints, `${model.name} ${name} ${seed}`) }),
  };
  const measured = await measureInProcess<Measurement>(MEASURE, JSON.stringify(request));
  const cpu = os.cpus()[0]?.model.trim() ?? 'unknown';
  const finished: NceRow = { model: model.name, name, seed, recipe, measured, cpu, commit: commitName() };
  await appendRow(options.rows, finished);
  process.stderr.write(
    `${model.name}, ${name}, seed ${seed}: ${measured.accuracies.map(({ quantized }) => quantized.toFixed(2)).join(' ')}\n`,
  );
  return measured;
}
