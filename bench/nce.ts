/**
 * Searches numbers of channels for networks of 2 bits, and trains what is found beside controls: the original widths, all widths times
 * one factor, and random widths, of no more multiply-accumulates. The network in floating point is trained first, on the same images.
 *
 *     npm run bench -- shared-data SETS
 *     npm run bench -- nce SETS WORK [--model resnet8] [--seeds 3] [--only original,searched] [--nce JSON] [--fine-tune JSON] [--write]
 *
 * All of it takes hours; what was interrupted goes on with the same WORK, a folder of networks and checkpoints. Rows are appended to
 * bench/results/nce.jsonl (--rows FILE) and not measured again; with --write the page becomes bench/results/nce.md. --nce and --fine-tune
 * change fields of the recipe and make variants of it. `--only given --widths '{"conv2d":24}'` measures widths of your own. `retrained` trains
 * the searched widths in floating point from random weights first, as the original was, and takes those weights. With
 * `--from '{"conv2d":24}'` a network of those widths, trained in the same way, is the original of all that is measured.
 */
import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Recipe } from '@tritforge/contracts';
import { type ControlName, controlWidths, mulberry32, networkCost, searchSpace } from '@tritforge/quant-core/nce';
import { readModel } from '@tritforge/quant-core/onnx';
import type { RowRequest } from './accuracy/measure-one.js';
import { appendRow, type Measurement, readRows } from './accuracy/rows.js';
import { commitName } from './accuracy/versions.js';
import { trainedNetwork, withWidths } from './nce/networks.js';
import { type NceRow, ncePage } from './nce/page.js';
import { measureInProcess } from './shared/measure-in-process.js';
import { type RealModel, readModels } from './shared-data/datasets.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const MEASURE = fileURLToPath(new URL('./accuracy/measure-one.js', import.meta.url));

/** Epochs of the search, and of the training behind it. */
const EPOCHS: Readonly<Record<string, { readonly search: number; readonly training: number }>> = {
  resnet8: { search: 10, training: 10 },
  resnet20: { search: 10, training: 10 },
};
/** Begins with weights of its own. */
const RETRAINED = 'searched, retrained';
/** Scaled to what the searched network costs. */
const SCALED: readonly ControlName[] = ['uniform', 'random'];

type Nce = NonNullable<Recipe['nce']>;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'resnet' },
    seeds: { type: 'string', default: '3' },
    only: { type: 'string', default: ['original', 'searched', ...SCALED].join(',') },
    widths: { type: 'string' },
    from: { type: 'string' },
    nce: { type: 'string', default: '{}' },
    'fine-tune': { type: 'string', default: '{}' },
    rows: { type: 'string', default: path.join(RESULTS, 'nce.jsonl') },
    write: { type: 'boolean', default: false },
  },
});
await main();

async function main(): Promise<void> {
  const [sets, work] = positionals.map((folder) => path.resolve(folder));
  if (sets === undefined || work === undefined) throw new Error('Usage: npm run bench -- nce SETS WORK [--write]');
  await mkdir(work, { recursive: true });
  const models = (await readModels(sets)).filter(({ name }) => name.includes(options.model));
  for (const model of models) {
    const own = Object.keys(EPOCHS).find((name) => model.name.startsWith(name));
    if (own === undefined) continue;
    for (let seed = 1; seed <= Number(options.seeds); seed++) await measureSeed(model, EPOCHS[own]!, seed, work);
  }
  const page = ncePage(await readRows<NceRow>(options.rows));
  if (options.write) await writeFile(path.join(RESULTS, 'nce.md'), page);
  else process.stdout.write(page);
}

async function measureSeed(
  uploaded: RealModel,
  { search, training }: { search: number; training: number },
  seed: number,
  work: string,
): Promise<void> {
  const only = options.only.split(',');
  const original = options.from === undefined ? uploaded : await withWidths(uploaded, JSON.parse(options.from), work);
  const model = await trainedNetwork(original, seed, work);
  const measure = (name: string, nce: Nce, { start = model, beside }: { start?: RealModel; beside?: string } = {}) =>
    row(
      { model: original.name, name, ...(beside !== undefined && { beside }), seed },
      { model: start, recipe: recipeOf(nce, training, seed) },
      work,
    );
  if (only.includes('original')) await measure('original widths', { widths: {} });
  if (only.includes('given')) await measure('given widths', { widths: JSON.parse(options.widths ?? '{}') });
  if (!['searched', 'retrained', ...SCALED].some((name) => only.includes(name))) return;
  const { widths, macs } = (await measure('searched', { epochs: search })).nce!;
  // What is left as it is goes unnamed, so that networks of the original widths have one recipe.
  const named = (channelsOf: (at: number) => number) =>
    Object.fromEntries(
      widths
        .map(({ layers }, at) => [layers[0]!, channelsOf(at)] as const)
        .filter(([, n], at) => n !== widths[at]!.original),
    );
  const ofSearch = options.nce === '{}' ? {} : { beside: options.nce };
  if (only.includes('retrained')) {
    const found = named((at) => widths[at]!.result);
    const start = await trainedNetwork(await withWidths(original, found, work), seed, work);
    await measure(RETRAINED, { widths: found }, { ...ofSearch, start });
  }
  const { template, graph } = await searchSpace(await readModel(model.modelPath));
  const ids = widths.map(({ layers }) => graph.widths.find((width) => width.layers.includes(layers[0]!))!.id);
  const space = { graph, searched: ids, macs: networkCost(template, graph).macs };
  for (const name of SCALED.filter((control) => only.includes(control))) {
    const channels = controlWidths(name, space, macs.result, mulberry32(seed));
    await measure(`${name} widths`, { widths: named((at) => channels.get(ids[at]!)!) }, ofSearch);
  }
}

function recipeOf(nce: Nce, epochs: number, seed: number): Recipe {
  const changes = JSON.parse(options.nce) as Nce;
  const ofControls = changes.inherit === 'none' ? { inherit: changes.inherit } : {};
  return {
    method: 'nce',
    nce: { ...nce, ...(nce.widths === undefined ? changes : ofControls) },
    fineTune: {
      epochs,
      batch: 128,
      learningRate: 0.01,
      weightScales: 'sawb',
      labels: 0.5,
      augment: { shift: 4, mirror: true },
      ...(JSON.parse(options['fine-tune']) as object),
    },
    seed,
  };
}

/** Measures a row unless it is there, or another that begins with the same network has the same recipe. */
async function row(
  kind: Pick<NceRow, 'model' | 'name' | 'beside' | 'seed'>,
  of: Pick<RowRequest, 'model' | 'recipe'>,
  work: string,
): Promise<Measurement> {
  const { model, name, seed } = kind;
  const { recipe } = of;
  const identity = JSON.stringify(recipe);
  const same = (await readRows<NceRow>(options.rows)).filter(
    (one) =>
      one.earlier === undefined &&
      one.model === model &&
      (one.name === RETRAINED) === (name === RETRAINED) &&
      JSON.stringify(one.recipe) === identity,
  );
  const known = same.find((one) => one.name === name && one.beside === kind.beside);
  if (known !== undefined) return known.measured;
  // Variants must not go on with each other's checkpoints.
  const variant = createHash('sha256').update(identity).digest('hex').slice(0, 12);
  const checkpointDir = path.join(work, `${model} ${name} ${variant}`);
  const request: RowRequest = { ...of, usesTrainingSet: true, checkpointDir };
  const measured = same[0]?.measured ?? (await measureInProcess<Measurement>(MEASURE, JSON.stringify(request)));
  const cpu = os.cpus()[0]?.model.trim() ?? 'unknown';
  const finished: NceRow = { ...kind, recipe, measured, cpu, commit: commitName() };
  await appendRow(options.rows, finished);
  await rm(checkpointDir, { recursive: true, force: true });
  const [accuracy] = measured.accuracies;
  process.stderr.write(`${model}, ${name}, seed ${seed}: ${accuracy!.quantized.toFixed(2)}\n`);
  return measured;
}
