/**
 * Quantizes the real test models in every way that is compared, and writes a table of accuracy, size and time.
 *
 *     npm run bench -- shared-data SETS
 *     npm run bench -- accuracy SETS [--model resnet20] [--column default] [--group-size 64] [--write]
 *
 * All of it takes hours. Each finished row is appended to bench/results/accuracy.jsonl (--rows FILE), and a row that is
 * there is not measured again unless the engine, its recipe or the data changed; with --accept-other-code not even when the
 * engine changed. --dry-run lists what would be measured. The page comes from all rows of the file: it is printed, and with
 * --write becomes bench/results/accuracy.md.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { accuracyPage } from './accuracy/page.js';
import { newestRows, readRows } from './accuracy/rows.js';
import { runRows, unfinished } from './accuracy/run-rows.js';
import { VARIANTS, variantName } from './accuracy/variants.js';
import { readModels } from './shared-data/datasets.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: '' },
    column: { type: 'string', default: '' },
    'group-size': { type: 'string' },
    rows: { type: 'string', default: path.join(RESULTS, 'accuracy.jsonl') },
    'accept-other-code': { type: 'boolean', default: false },
    'dry-run': { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});

await main();

async function main(): Promise<void> {
  if (positionals[0] === undefined) throw new Error('Usage: npm run bench -- accuracy SETS [--model TEXT] [--write]');
  const models = (await readModels(path.resolve(positionals[0]))).filter(({ name }) => name.includes(options.model));
  const size = options['group-size'];
  const variants = VARIANTS.filter(
    ({ column, groupSize }) => column.includes(options.column) && (size === undefined || String(groupSize) === size),
  );
  const tasks = models.flatMap((model) => variants.map((variant) => ({ model, variant })));
  const log = (line: string) => process.stderr.write(`${line}\n`);
  const settings = { rowsFile: options.rows, acceptOtherCode: options['accept-other-code'], log };
  const left = await unfinished(tasks, settings);
  log(`${tasks.length} rows, ${tasks.length - left.length} of them finished`);
  if (options['dry-run']) {
    for (const { model, variant } of left) log(`${model.name}: ${variantName(variant)}`);
    return;
  }
  const failed = await runRows(left, settings);
  const page = accuracyPage(newestRows(await readRows(options.rows)));
  if (options.write) await writeFile(path.join(RESULTS, 'accuracy.md'), page);
  else process.stdout.write(page);
  if (failed.length > 0) throw new Error(`Not measured:\n${failed.join('\n')}`);
}
