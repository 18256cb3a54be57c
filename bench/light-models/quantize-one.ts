/** One run of `light-models`, a process of its own: MODEL FOLDER [CALIBRATION]. Prints an {@link Outcome} as JSON. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Report } from '@tritforge/contracts';
import { createOnnxRuntime, quantize } from '@tritforge/quant-core';
import { readModel } from '@tritforge/quant-core/onnx';
import { checkReport } from '@tritforge/quant-core/testing';

export interface Outcome {
  readonly report: Report;
  readonly seconds: number;
  readonly peakRssBytes: number;
}

const [modelPath, folder, calibration] = process.argv.slice(2) as [string, string, string | undefined];
const [outputDir, scratchDir] = [join(folder, 'out'), join(folder, 'scratch')];
for (const path of [outputDir, scratchDir]) await mkdir(path);
const started = performance.now();
const report = await quantize(
  {
    modelPath,
    recipe: {
      weights: { groupSize: 64, solver: 'exact' },
      activations: { bits: calibration === undefined ? null : 8 },
    },
    outputDir,
    scratchDir,
    fileStem: 'model',
    calibration: calibration === undefined ? undefined : { path: calibration },
  },
  { runtime: createOnnxRuntime() },
);
const outcome: Outcome = {
  report,
  seconds: (performance.now() - started) / 1000,
  // Node gives kilobytes of 1024 on every system.
  peakRssBytes: process.resourceUsage().maxRSS * 1024,
};
const artifactPath = join(outputDir, report.artifacts[0]!.fileName);
await checkReport(report, await readModel(modelPath), await readModel(artifactPath));
process.stdout.write(JSON.stringify(outcome));
