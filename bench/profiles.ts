/**
 * Writes every artifact profile of every real test model, verifies each against the engine's reference, and records what stock
 * onnxruntime computes on real samples, for other runtimes to be compared with.
 *
 *     npm run bench -- shared-data SETS
 *     npm run bench -- profiles SETS OUT [--model resnet20]
 *     /tmp/peers/bin/python bench/peers/check_profiles.py OUT
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Recipe, Report } from '@tritforge/contracts';
import { createOnnxRuntime, feedsOf, openDataset, planFeeds, quantize, writeNpz } from '@tritforge/quant-core';
import { type RealModel, readModels } from './shared-data/datasets.js';
import { readPreprocess } from './shared-data/job-request.js';

/** Codes by any solver are stored alike; this one is fast. */
const weights = { solver: 'exact' } as const;
const integer: Recipe = { weights, artifacts: ['portable', 'compat', 'accelerated'] };
const floating: Recipe = { ...integer, activations: { bits: null }, artifacts: [...integer.artifacts!, 'ort-nbits'] };

/** Something of everything that artifacts hold. */
const RECIPES: Readonly<Record<string, Recipe>> = {
  n64: integer,
  'n4-inputs4': { ...integer, weights: { ...weights, groupSize: 4 }, activations: { bits: 4 } },
  planes: { ...integer, weights: { ...weights, groupSize: 32, residualPlanes: 0.5 } },
  int4: { ...integer, method: 'int4' },
  int8: { ...integer, method: 'int8' },
  'n32-floats': { ...floating, weights: { ...weights, groupSize: 32 } },
  'int4-floats': { ...floating, method: 'int4', weights: { ...weights, groupSize: 32 } },
};
const CALIBRATION_SAMPLES = 32;
const RECORDED_RUNS = 4;

/** What check_profiles.py reads: an artifact and the arrays of its samples and outputs, by their names in the graph. */
interface Case {
  readonly artifact: string;
  readonly arrays: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { model: { type: 'string', default: '' } },
});
await main();

async function main(): Promise<void> {
  const [sets, out] = positionals;
  if (sets === undefined || out === undefined)
    throw new Error('Usage: npm run bench -- profiles SETS OUT [--model TEXT]');
  const models = (await readModels(path.resolve(sets))).filter(({ name }) => name.includes(options.model));
  const cases: Case[] = [];
  for (const model of models) {
    for (const [name, recipe] of Object.entries(RECIPES)) {
      const folder = path.join(path.resolve(out), model.name, name);
      const report = await quantizeInto(folder, model, recipe);
      const errors = report.artifacts.map(({ profile, verification }) => {
        if (!verification.passed) throw new Error(`${model.name} ${name} ${profile} was not verified`);
        return `${profile} ${verification.encodingMaxAbsError?.toExponential(1)}`;
      });
      process.stdout.write(`${model.name.padEnd(26)} ${name.padEnd(12)} ${errors.join('  ')}\n`);
      cases.push(...(await record(folder, model, report)));
    }
  }
  await writeFile(path.join(out, 'cases.json'), `${JSON.stringify(cases, null, 1)}\n`);
}

async function quantizeInto(folder: string, model: RealModel, recipe: Recipe): Promise<Report> {
  await mkdir(folder, { recursive: true });
  const preprocess = await readPreprocess(model);
  const scratchDir = await mkdtemp(path.join(tmpdir(), 'profiles-'));
  try {
    return await quantize(
      {
        modelPath: model.modelPath,
        recipe,
        outputDir: folder,
        scratchDir,
        fileStem: 'model',
        maxCalibrationSamples: CALIBRATION_SAMPLES,
        calibration: { path: model.calibration, ...(preprocess && { preprocess }) },
      },
      { runtime: createOnnxRuntime() },
    );
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

/** Runs each artifact on samples of the evaluation set and writes what went in and what came out. */
async function record(folder: string, model: RealModel, report: Report): Promise<Case[]> {
  const preprocess = await readPreprocess(model);
  const dataset = await openDataset(model.evaluation, { preprocess, scratchDir: folder });
  const cases: Case[] = [];
  try {
    for (const { fileName } of report.artifacts) {
      const artifact = path.join(folder, fileName);
      const session = await createOnnxRuntime().load(artifact, { threads: 1, optimization: 'all' });
      const plan = planFeeds(session.inputs, dataset.summary, preprocess);
      let run = 0;
      for await (const batch of dataset.batches({ batchSize: plan.runSamples ?? 1 })) {
        const { feeds } = feedsOf({ ...plan, runSamples: plan.runSamples ?? 1 }, batch)
          [Symbol.iterator]()
          .next().value!;
        const arrays = `${artifact}.${run}.npz`;
        const outputs = await session.run(feeds);
        const inputKeys = Object.fromEntries([...feeds.keys()].map((name, i) => [name, `input${i}`]));
        const outputKeys = Object.fromEntries([...outputs.keys()].map((name, i) => [name, `output${i}`]));
        await writeNpz(
          arrays,
          new Map([
            ...[...feeds].map(([name, tensor]) => [inputKeys[name]!, tensor] as const),
            ...[...outputs].map(([name, tensor]) => [outputKeys[name]!, tensor] as const),
          ]),
        );
        cases.push({ artifact, arrays, inputs: inputKeys, outputs: outputKeys });
        if (++run === RECORDED_RUNS) break;
      }
      await session.release();
    }
  } finally {
    await dataset.close();
  }
  return cases;
}
