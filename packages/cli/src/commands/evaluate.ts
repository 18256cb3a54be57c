import type { EngineName, Metric } from '@tritforge/contracts';
import { evaluateInChild } from '@tritforge/quant-core/process';
import { formatCount, formatMetric, formatMs } from '@tritforge/report-html/figures';
import type { CommandContext } from '../command-context.js';
import { datasetFile, modelFile, readPreprocess } from '../input-files.js';
import { openProgressDisplay } from '../output/progress-bar.js';
import { formatTable } from '../output/table.js';
import { type LimitFlags, limitsOf } from '../work-limits.js';

/** Flags of `tritforge evaluate`. */
export interface EvaluateFlags extends LimitFlags {
  readonly evaluation: string;
  readonly preprocess?: string;
  readonly metric?: Metric;
  readonly engine?: EngineName;
  readonly threads?: number;
}

/** Measures a model and prints the result. @throws TritforgeError of the engine */
export async function evaluateCommand(model: string, flags: EvaluateFlags, context: CommandContext): Promise<void> {
  const preprocess = flags.preprocess === undefined ? null : await readPreprocess(flags.preprocess);
  const request = {
    modelPath: await modelFile(model),
    evaluation: await datasetFile(flags.evaluation, preprocess),
    metric: flags.metric,
    engine: flags.engine,
    threads: flags.threads,
  };
  const display = openProgressDisplay();
  const { signal } = context;
  const result = await evaluateInChild(request, { limits: limitsOf(flags), signal, onProgress: display.show }).finally(
    () => display.close(),
  );
  process.stdout.write(context.asJson ? `${JSON.stringify(result)}\n` : describe(result));
}

function describe({
  metric,
  value,
  output,
  samples,
  engine,
  latency,
}: Awaited<ReturnType<typeof evaluateInChild>>): string {
  return formatTable(
    [
      [metric, formatMetric(metric, value)],
      ['output', output],
      ['samples', formatCount(samples)],
      ['engine', engine],
      ['latency, median', formatMs(latency.medianMs)],
      ['threads', String(latency.threads)],
      ['batch', String(latency.batch)],
      ['runs', String(latency.runs)],
      ['processor', latency.cpu],
    ],
    ['left', 'left'],
  );
}
