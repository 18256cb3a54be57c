import { type Metric as MetricName, TritforgeError } from '@tritforge/contracts';
import { isCacheOutput } from '../data/decoder-inputs.js';
import { elementCount } from '../ir/index.js';
import { isFloating } from '../runtime/host-floats.js';
import type { Feeds, HostTensor } from '../runtime/runtime.js';
import { classAxis } from './class-scores.js';
import { labelsMissing } from './label-rows.js';
import type { Metric } from './metric.js';
import { agreement } from './metrics/agreement.js';
import { mse } from './metrics/mse.js';
import { perplexity } from './metrics/perplexity.js';
import { topK } from './metrics/top-k.js';

const METRICS: Readonly<Record<MetricName, Metric>> = {
  top1: topK('top1', 1),
  top5: topK('top5', 5),
  mse,
  perplexity,
  agreement,
};

/** The first run of the model that is to be scored. */
export interface FirstRun {
  readonly feeds: Feeds;
  /** In the order of the model. */
  readonly outputs: ReadonlyMap<string, HostTensor>;
  readonly labels: HostTensor | null;
  readonly samples: number;
  /** Whether there is an original model to compare with. */
  readonly hasReference: boolean;
}

/** What an evaluation reads and how it scores that. */
export interface Scoring {
  readonly metric: Metric;
  /** Name of the output. */
  readonly output: string;
  /** Whether the output ranks classes, so that top classes can be compared. */
  readonly hasClasses: boolean;
}

/**
 * Chooses the metric and the output.
 *
 * The output is the first floating-point one that counts the samples on axis 0 and has a class axis (see `classAxis`);
 * for `mse`, the first floating-point one. Caches of decoders are passed over. Without a wish, float labels mean mse; integer labels perplexity where every
 * token of [N, T, V] has one, else top1; no labels mean agreement with the original, or mse to it where no output has
 * classes or where it has the shape of an input, as reconstructions do.
 * @throws TritforgeError METRIC_UNSUPPORTED or DATASET_LABELS_MISSING when the metric cannot be computed
 */
export function chooseMetric(run: FirstRun, asked?: MetricName): Scoring {
  const floating = [...run.outputs].filter(([name, { dtype }]) => isFloating(dtype) && !isCacheOutput(name));
  const ranking = floating.find(([, tensor]) => ranksClasses(tensor, run.samples));
  const metric = METRICS[asked ?? defaultMetric(run, ranking?.[1])];
  requireComparison(metric, run);
  const chosen = metric === mse ? floating[0] : ranking;
  if (!chosen)
    throw unsupported(`no output of the model is floating point${metric === mse ? '' : ' and has a class axis'}`);
  const [output, tensor] = chosen;
  if (metric === perplexity && tensor.shape.length !== 3) {
    throw unsupported(`perplexity needs logits [N, T, V]; output "${output}" is [${tensor.shape.join(', ')}]`);
  }
  return {
    metric,
    output,
    hasClasses: ranksClasses(tensor, run.samples) && (metric !== mse || !looksLikeInput(tensor, run.feeds)),
  };
}

function ranksClasses({ shape }: HostTensor, samples: number): boolean {
  if (samples === 1 && shape.length === 1) return (shape[0] as number) > 1;
  return shape[0] === samples && classAxis(shape) !== null;
}

function looksLikeInput({ shape }: HostTensor, feeds: Feeds): boolean {
  return [...feeds.values()].some((fed) => isFloating(fed.dtype) && fed.shape.join() === shape.join());
}

/** @throws TritforgeError DATASET_LABELS_MISSING when there is nothing to compare with */
function defaultMetric({ labels, feeds, hasReference }: FirstRun, ranking: HostTensor | undefined): MetricName {
  if (labels === null && !hasReference) throw labelsMissing('scoring one model on its own');
  if (labels === null) return ranking && !looksLikeInput(ranking, feeds) ? 'agreement' : 'mse';
  if (!ranking || isFloating(labels.dtype)) return 'mse';
  const tokens = ranking.shape.length === 3 && classAxis(ranking.shape) === 2 ? (ranking.shape[1] as number) : 1;
  return tokens > 1 && elementCount(labels.shape.slice(1)) === tokens ? 'perplexity' : 'top1';
}

/** @throws TritforgeError when what the metric compares with is not there */
function requireComparison(metric: Metric, { labels, hasReference }: FirstRun): void {
  if (metric.against === 'reference' && !hasReference) {
    throw unsupported(`${metric.name} compares with the original model, and there is only one model here`);
  }
  if (labels === null && (metric.against === 'labels' || !hasReference)) throw labelsMissing(metric.name);
}

function unsupported(why: string): TritforgeError {
  return new TritforgeError('METRIC_UNSUPPORTED', why, {
    field: 'metric',
    remediation:
      'Ask for another metric: top1 and top5 need class labels, perplexity token labels, mse any float output, agreement two models.',
  });
}
