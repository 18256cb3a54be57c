/**
 * Quantizes the real test models with onnxruntime's own tools in Python, measures the results as ours are measured, and writes
 * a table with ours beside them.
 *
 *     npm run bench -- shared-data SETS
 *     python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r bench/peers/accuracy-requirements.txt
 *     npm run bench -- peers SETS --python /tmp/peers/bin/python [--model resnet20] [--setting static] [--samples 256] [--write]
 *
 * Rows are appended to bench/results/peers-accuracy.jsonl (--rows FILE), and the page has the newest of each: it is printed,
 * and with --write becomes bench/results/peers-accuracy.md. Without --python the page alone is made anew, with ours as they stand in
 * bench/results/accuracy.jsonl (--ours FILE).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type AccuracyRow, appendRow, newestRows, readRows } from './accuracy/rows.js';
import { peersPage } from './peers/page.js';
import type { PeerRow } from './peers/rows.js';
import { runPeers } from './peers/run-peers.js';
import { PEER_SETTINGS, settingName } from './peers/settings.js';
import { readModels } from './shared-data/datasets.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: 'string' },
    model: { type: 'string', default: '' },
    setting: { type: 'string', default: '' },
    samples: { type: 'string', default: '256' },
    rows: { type: 'string', default: path.join(RESULTS, 'peers-accuracy.jsonl') },
    ours: { type: 'string', default: path.join(RESULTS, 'accuracy.jsonl') },
    write: { type: 'boolean', default: false },
  },
});

await main();

async function main(): Promise<void> {
  if (positionals[0] === undefined) throw new Error('Usage: npm run bench -- peers SETS [--python PYTHON] [--write]');
  if (options.python !== undefined) await run(path.resolve(positionals[0]), options.python);
  const rows = await readRows<PeerRow>(options.rows);
  const newest = [...new Map(rows.map((row) => [`${row.model}: ${settingName(row.setting)}`, row])).values()];
  const page = peersPage(newest, newestRows(await readRows<AccuracyRow>(options.ours)));
  if (options.write) await writeFile(path.join(RESULTS, 'peers-accuracy.md'), page);
  else process.stdout.write(page);
}

async function run(sets: string, python: string): Promise<void> {
  const settings = PEER_SETTINGS.filter((setting) => settingName(setting).includes(options.setting));
  for (const model of await readModels(sets)) {
    if (!model.name.includes(options.model)) continue;
    const folder = await mkdtemp(path.join(tmpdir(), 'tritforge-bench-peers-'));
    try {
      await runPeers(model, settings, {
        python,
        maxCalibrationSamples: Number(options.samples),
        folder,
        async onRow(row) {
          process.stderr.write(`${model.name}: ${settingName(row.setting)}: ${row.problem ?? summary(row)}\n`);
          await appendRow(options.rows, row);
        },
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

function summary({ result }: PeerRow): string {
  return result!.accuracies.map(({ metric, quantized, drop }) => `${metric} ${quantized}, drop ${drop}`).join('; ');
}
