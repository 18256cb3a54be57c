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

/** 0.4567 → `45.7 %`; `–` when there is none. */
export function formatShare(share: Figure): string {
  return share === null || share === undefined ? '–' : `${(100 * share).toFixed(1)} %`;
}

const PERCENT_METRICS: ReadonlySet<Metric> = new Set<Metric>(['top1', 'top5', 'agreement']);

/** Whether values of the metric are percentages, and larger ones better. */
export function isPercentMetric(metric: Metric): boolean {
  return PERCENT_METRICS.has(metric);
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
