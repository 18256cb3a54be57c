import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Metric, type Report, resolveRecipe } from '@tritforge/contracts';
import { type QuantizeTaskRequest, quantizeInChild } from '@tritforge/quant-core/process';
import { renderReport } from '@tritforge/report-html';
import type { CommandContext } from '../command-context.js';
import { type GateFlags, gatesOf, requireGates } from '../gates.js';
import { datasetFile, modelFile, readPreprocess } from '../input-files.js';
import { openProgressDisplay } from '../output/progress-bar.js';
import { describeReport } from '../output/quantize-tables.js';
import { titleOf } from '../output/recipe-title.js';
import { reportStem } from '../output/report-stem.js';
import { type Workplace, withOutputFolder } from '../output-folder.js';
import { type RecipeFlags, recipeOf } from '../recipe-flags.js';
import { type LimitFlags, limitsOf } from '../work-limits.js';

/** Flags of `tritforge quantize`. */
export interface QuantizeFlags extends RecipeFlags, LimitFlags, GateFlags {
  readonly out: string;
  readonly calibration?: string;
  readonly evaluation?: string;
  readonly preprocess?: string;
  readonly metric?: Metric;
  readonly threads?: number;
  readonly solverThreads?: number;
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
  requireGates(report.gates);
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

async function writeReports(report: Report, fileStem: string, { resultsDir }: Workplace): Promise<void> {
  const stem = join(resultsDir, reportStem(report, fileStem));
  await writeFile(`${stem}.report.json`, `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(`${stem}.report.html`, renderReport(report));
}
