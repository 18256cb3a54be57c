import type { AccuracyReport, LatencyReport } from '@tritforge/contracts';
import { compareAccuracy, compareLatency, cpuName } from '../evaluate/index.js';
import type { QuantizeContext, QuantizeRequest } from '../quantize-request.js';
import type { Feeds, Session } from '../runtime/runtime.js';
import type { JobDataset } from './job-data.js';
import type { ProgressMeter } from './progress-meter.js';

/** The models that are measured side by side. */
export interface MeasureStep {
  readonly originalPath: string;
  readonly quantizedPath: string;
  /** Null where the quantized model is itself the int8 model. */
  readonly baselinePath: string | null;
  /** The accelerated encoding, for the runtime with our operators; null where that cannot be timed. */
  readonly acceleratedPath: string | null;
  /** Whether the int8 model is compared with the original on its own, so that only two models are in memory at a time. */
  readonly inPairs: boolean;
  readonly evaluation: JobDataset | null;
  readonly feeds: Feeds;
  readonly request: QuantizeRequest;
  readonly context: QuantizeContext;
  readonly meter: ProgressMeter;
}

export interface Measured {
  readonly accuracy: AccuracyReport | null;
  readonly latency: LatencyReport;
}

/** Accuracy on the evaluation data and latency, of all models as users run them, in one process. */
export async function measure(step: MeasureStep): Promise<Measured> {
  if (!step.inPairs || step.baselinePath === null) return measureTogether(step);
  const { accuracy, latency } = await measureTogether({ ...step, baselinePath: null });
  const int8 = await measureTogether({
    ...step,
    quantizedPath: step.baselinePath,
    baselinePath: null,
    acceleratedPath: null,
  });
  return {
    accuracy: accuracy && { ...accuracy, int8: int8.accuracy!.quantized },
    latency: { ...latency, int8Ms: int8.latency.quantizedMs },
  };
}

async function measureTogether(step: MeasureStep): Promise<Measured> {
  const threads = step.request.threads ?? 1;
  const sessions: Session[] = [];
  const load = async (path: string, runtime = step.context.runtime) => {
    const session = await runtime.load(path, { threads, optimization: 'all' });
    sessions.push(session);
    return session;
  };
  try {
    // Unpacking weights takes onnxruntime several times their size for a moment, so the packed models come first.
    const quantized = await load(step.quantizedPath);
    const int8 = step.baselinePath === null ? null : await load(step.baselinePath);
    const { accelerated: runtime } = step.context;
    const accelerated = step.acceleratedPath === null || !runtime ? null : await load(step.acceleratedPath, runtime);
    const original = await load(step.originalPath);
    const latency = await measureLatency(step, { original, quantized, int8, accelerated }, threads);
    return { latency, accuracy: await measureAccuracy(step, { original, quantized, int8 }) };
  } finally {
    for (const session of sessions) await session.release();
  }
}

interface Sessions {
  readonly original: Session;
  readonly quantized: Session;
  readonly int8: Session | null;
}

async function measureAccuracy(step: MeasureStep, sessions: Sessions): Promise<AccuracyReport | null> {
  if (step.evaluation === null) return null;
  return compareAccuracy({
    ...sessions,
    dataset: step.evaluation.dataset,
    feedPlan: step.evaluation.feedPlan,
    metric: step.request.metric,
    onProgress: (done, total) => step.meter.done(done, total),
    signal: step.context.signal,
  });
}

async function measureLatency(
  step: MeasureStep,
  sessions: Sessions & { readonly accelerated: Session | null },
  threads: number,
): Promise<LatencyReport> {
  const contestants = Object.entries(sessions)
    .filter((entry): entry is [string, Session] => entry[1] !== null)
    .map(([name, session]) => ({ name, session, feeds: step.feeds }));
  const { runs, results } = await compareLatency(contestants, { signal: step.context.signal });
  return {
    threads,
    batch: step.feeds.values().next().value?.shape[0] ?? 1,
    runs,
    originalMs: results.get('original')!.medianMs,
    int8Ms: results.get('int8')?.medianMs ?? null,
    quantizedMs: results.get('quantized')!.medianMs,
    acceleratedMs: results.get('accelerated')?.medianMs ?? null,
    acceleratedEngine: sessions.accelerated === null ? null : step.context.accelerated!.engine,
    cpu: cpuName(),
  };
}
