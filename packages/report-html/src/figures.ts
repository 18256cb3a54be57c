/** Figures as people read them. */
import type { Metric } from '@tritforge/contracts';

type Figure = number | null | undefined;

/** 319549 → `319.5 kB`. */
export function formatBytes(sizeBytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = sizeBytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** 78240 → `78,240`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** A number with the given decimals, or `–` when there is none. */
export function formatNumber(value: Figure, decimals: number): string {
  return value === null || value === undefined ? '–' : value.toFixed(decimals);
}

/** 0.0123 → `12.3 µs` and so on, from milliseconds; `–` when there is none. */
export function formatMs(ms: Figure): string {
  if (ms === null || ms === undefined) return '–';
  return ms < 1 ? `${(ms * 1000).toFixed(0)} µs` : `${ms.toPrecision(3)} ms`;
}

/** 0.4567 → `45.7 %`, 0.0000123 → `0.0012 %`; `–` when there is none. */
export function formatShare(share: Figure): string {
  if (share === null || share === undefined) return '–';
  const percent = 100 * share;
  return `${percent === 0 || percent >= 0.1 ? percent.toFixed(1) : Number(percent.toPrecision(2))} %`;
}

const PERCENT_METRICS: ReadonlySet<Metric> = new Set<Metric>(['top1', 'top5', 'agreement']);

/** Whether values of the metric are percentages, and larger ones better. */
export function isPercentMetric(metric: Metric): boolean {
  return PERCENT_METRICS.has(metric);
}

const METRIC_NAMES: Readonly<Record<Metric, string>> = {
  top1: 'Top-1 accuracy',
  top5: 'Top-5 accuracy',
  mse: 'Mean squared error',
  perplexity: 'Perplexity',
  agreement: 'Agreement',
};

/** `Top-1 accuracy` for `top1`, and so on; what is not known stays as it is. */
export function metricName(metric: Metric): string {
  return METRIC_NAMES[metric] ?? metric;
}

/** A value of a metric in its unit, or `–` when there is none. */
export function formatMetric(metric: Metric, value: Figure): string {
  if (value === null || value === undefined) return '–';
  return isPercentMetric(metric) ? `${value.toFixed(2)} %` : value.toPrecision(4);
}

/** [1, 3, "N"] → `1 × 3 × N`; unknown sizes are `?`. */
export function formatShape(shape: readonly (number | string | null)[] | null): string {
  if (shape === null) return 'unknown shape';
  return shape.length === 0 ? 'scalar' : shape.map((size) => size ?? '?').join(' × ');
}
