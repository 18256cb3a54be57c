import type { Metric } from '@tritforge/contracts';

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
export function formatNumber(value: number | null, decimals: number): string {
  return value === null ? '–' : value.toFixed(decimals);
}

/** 0.0123 → `12.3 µs` and so on, from milliseconds. */
export function formatMs(ms: number | null): string {
  if (ms === null) return '–';
  return ms < 1 ? `${(ms * 1000).toFixed(0)} µs` : `${ms.toPrecision(3)} ms`;
}

/** 125 → `2 min 5 s`. */
export function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

const PERCENT_METRICS: ReadonlySet<Metric> = new Set<Metric>(['top1', 'top5', 'agreement']);

/** A value of a metric in its unit, or `–` when there is none. */
export function formatMetric(metric: Metric, value: number | null): string {
  if (value === null) return '–';
  return PERCENT_METRICS.has(metric) ? `${value.toFixed(2)} %` : value.toPrecision(4);
}

/** [1, 3, "N"] → `1 × 3 × N`; unknown sizes are `?`. */
export function formatShape(shape: readonly (number | string | null)[] | null): string {
  if (shape === null) return 'unknown shape';
  return shape.length === 0 ? 'scalar' : shape.map((size) => size ?? '?').join(' × ');
}
