/** Networks of other widths that are trained as the searched one was, to compare it with. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NceReport, Report } from '@tritforge/contracts';
import type { ControlName } from '../nce/controls.js';
import type { QuantizeContext, QuantizeRequest } from '../quantize-request.js';
import type { ProgressMeter } from './progress-meter.js';

/** A network to compare with. */
export interface Control {
  readonly name: ControlName;
  /** Channels, by the first layer of each width, in the order of the report. */
  readonly widths: Readonly<Record<string, number>>;
}

export interface ControlsStep {
  readonly request: QuantizeRequest;
  readonly context: QuantizeContext;
  readonly meter: ProgressMeter;
  readonly scratchDir: string;
  /** Does a whole job. */
  readonly run: (request: QuantizeRequest, context: QuantizeContext) => Promise<Report>;
}

type ControlReport = NonNullable<NceReport['controls']>[number];

/** Their training begins with the weights of the network that was uploaded, or at random where that of the searched network does. */
export async function runControls(controls: readonly Control[], step: ControlsStep): Promise<ControlReport[]> {
  const { request, context, meter, scratchDir, run } = step;
  const reports: ControlReport[] = [];
  if (controls.length > 0) meter.begin('controls', controls.length, 'networks');
  for (const [i, { name, widths }] of controls.entries()) {
    const { gates: _, checkpointDir, recipe, ...rest } = request;
    const folder = await mkdtemp(join(scratchDir, 'control-'));
    try {
      const [profile] = recipe.artifacts ?? ['portable'];
      const inherit = recipe.nce?.inherit === 'none' ? 'none' : 'model';
      const report = await run(
        {
          ...rest,
          recipe: { ...recipe, nce: { widths: { ...widths }, inherit }, artifacts: [profile!] },
          outputDir: folder,
          scratchDir: folder,
          ...(checkpointDir !== undefined && { checkpointDir: join(checkpointDir, `control-${name}`) }),
        },
        {
          ...context,
          onProgress: ({ phase, detail }) =>
            meter.done(
              i,
              controls.length,
              null,
              `${name} widths: ${phase}${detail === undefined ? '' : `, ${detail}`}`,
            ),
        },
      );
      reports.push(controlReport(name, widths, report));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return reports;
}

function controlReport(
  name: ControlName,
  widths: Control['widths'],
  { nce, accuracy, fineTune, artifacts }: Report,
): ControlReport {
  return {
    name,
    widths: Object.values(widths),
    macs: nce!.macs.result,
    parameters: nce!.parameters.result,
    sizeBytes: artifacts[0]!.sizeBytes,
    accuracy: accuracy === null ? null : accuracy.quantized,
    drop: accuracy === null ? null : accuracy.drop,
    pairedStandardError: accuracy === null ? null : accuracy.pairedStandardError,
    heldOutLoss: fineTune!.curve[fineTune!.bestEpoch]!.heldOutLoss,
  };
}
