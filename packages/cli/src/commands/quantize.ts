import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Gates, type Metric, type Recipe, type Report, resolveRecipe, TritforgeError } from '@tritforge/contracts';
import { type QuantizeTaskRequest, quantizeInChild } from '@tritforge/quant-core/process';
import { renderReport } from '@tritforge/report-html';
import type { CommandContext } from '../command-context.js';
import { datasetFile, modelFile, readPreprocess } from '../input-files.js';
import { openProgressDisplay } from '../output/progress-bar.js';
import { describeReport } from '../output/quantize-tables.js';
import { type Workplace, withOutputFolder } from '../output-folder.js';
import { type RecipeFlags, recipeOf } from '../recipe-flags.js';
import { type LimitFlags, limitsOf } from '../work-limits.js';

/** Flags of `tritforge quantize`. */
export interface QuantizeFlags extends RecipeFlags, LimitFlags {
  readonly out: string;
  readonly calibration?: string;
  readonly evaluation?: string;
  readonly preprocess?: string;
  readonly metric?: Metric;
  readonly threads?: number;
  readonly solverThreads?: number;
  readonly gateMaxAccuracyDrop?: number;
  readonly gateMaxSize?: number;
  readonly gateMinSpeedup?: number;
}

/**
 * Quantizes a model into the output folder, writes the report, as JSON and as a page, beside the artifacts and prints it.
 * @throws TritforgeError of the engine; GATE_FAILED after everything was written
 */
export async function quantizeCommand(model: string, flags: QuantizeFlags, context: CommandContext): Promise<void> {
  const request = await requestOf(model, flags);
  const report = await withOutputFolder(flags.out, async (workplace) => {
    const result = await quantizeWithProgress(
      { ...request, outputDir: workplace.resultsDir },
      workplace,
      flags,
      context,
    );
    await writeReports(result, request.fileStem, workplace);
    await workplace.publish();
    return result;
  });
  process.stdout.write(
    context.asJson ? `${JSON.stringify(report)}\n` : describeReport(report, titleOf(request.recipe)),
  );
  requireGates(report);
}

async function requestOf(model: string, flags: QuantizeFlags): Promise<Omit<QuantizeTaskRequest, 'outputDir'>> {
  const preprocess = flags.preprocess === undefined ? null : await readPreprocess(flags.preprocess);
  const dataset = (path: string | undefined) => (path === undefined ? undefined : datasetFile(path, preprocess));
  return {
    modelPath: await modelFile(model),
    recipe: await recipeOf(flags),
    fileStem: basename(model).replace(/\.onnx$/i, ''),
    calibration: await dataset(flags.calibration),
    evaluation: await dataset(flags.evaluation),
    training: await dataset(flags.training),
    metric: flags.metric,
    gates: gatesOf(flags),
    threads: flags.threads,
    solverThreads: flags.solverThreads,
  };
}

function gatesOf({ gateMaxAccuracyDrop, gateMaxSize, gateMinSpeedup }: QuantizeFlags): Gates {
  return {
    ...(gateMaxAccuracyDrop !== undefined && { maxAccuracyDrop: gateMaxAccuracyDrop }),
    ...(gateMaxSize !== undefined && { maxSizeBytes: gateMaxSize }),
    ...(gateMinSpeedup !== undefined && { minSpeedup: gateMinSpeedup }),
  };
}

async function quantizeWithProgress(
  request: QuantizeTaskRequest,
  { scratchRoot }: Workplace,
  flags: QuantizeFlags,
  { signal, settleFirst }: CommandContext,
): Promise<Report> {
  const { method, fineTune } = resolveRecipe(request.recipe);
  const settle = method === 'auto' || fineTune !== null ? settleFirst() : undefined;
  const display = openProgressDisplay();
  try {
    return await quantizeInChild(request, {
      limits: limitsOf(flags),
      signal,
      settle,
      onProgress: display.show,
      scratchRoot,
    });
  } finally {
    display.close();
  }
}

/** The reports, as JSON and as a page, are named as the artifacts, without their profile. */
async function writeReports(report: Report, fileStem: string, { resultsDir }: Workplace): Promise<void> {
  const { fileName, profile } = report.artifacts[0] ?? { fileName: fileStem, profile: '' };
  const stem = fileName.replace(/\.onnx$/, '').replace(`.${profile}`, '');
  await writeFile(join(resultsDir, `${stem}.report.json`), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(resultsDir, `${stem}.report.html`), renderReport(report));
}

function titleOf(recipe: Recipe): string {
  const { method, paper, weights, activations, fineTune } = resolveRecipe(recipe);
  const { bits } = activations;
  const inputs = bits === null || bits === 8 ? '' : `, ${bits}-bit inputs`;
  const planes = weights.residualPlanes === 0 ? '' : ', second planes';
  const groups = method === 'fgq' || method === 'int4' ? ` N=${weights.groupSize}` : '';
  const training = fineTune === null ? '' : ', fine-tuned';
  return `${method}${groups}${method === 'fgq' ? planes : ''}${inputs}${training}${paper ? ', as published' : ''}`;
}

function requireGates({ gates }: Report): void {
  const failed = gates.filter(({ passed }) => !passed);
  if (failed.length === 0) return;
  const list = failed.map(({ name, value, limit }) => `${name} is ${value ?? 'unknown'}, the limit is ${limit}`);
  throw new TritforgeError('GATE_FAILED', `${list.join('; ')}.`, {
    remediation: 'Choose a smaller group size, exclude the layers with the lowest SQNR, or relax the gate.',
  });
}
