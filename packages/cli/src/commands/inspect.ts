import { inspectModelInChild } from '@tritforge/quant-core/process';
import type { CommandContext } from '../command-context.js';
import { modelFile } from '../input-files.js';
import { describeModel } from '../output/model-tables.js';
import { type LimitFlags, limitsOf } from '../work-limits.js';

/** Prints what is in a model. @throws TritforgeError MODEL_* */
export async function inspectCommand(model: string, flags: LimitFlags, context: CommandContext): Promise<void> {
  const path = await modelFile(model);
  const inspection = await inspectModelInChild(path, { limits: limitsOf(flags), signal: context.signal });
  process.stdout.write(context.asJson ? `${JSON.stringify(inspection)}\n` : describeModel(inspection));
}
