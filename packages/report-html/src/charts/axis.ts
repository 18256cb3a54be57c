/** Where values lie on an axis, and which of them get a label. */
export interface Axis {
  /** Position of a value in the drawing. */
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** From the value that lies at `from` to the one at `to`; `from` may be the larger one, as drawings count downwards. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** An axis over [low, high] with about `tickCount` round values on it. */
export function linearAxis(low: number, high: number, { from, to }: Span, tickCount: number): Axis {
  const width = high - low || 1;
  return { at: (value) => from + ((value - low) / width) * (to - from), ticks: roundValues(low, high, tickCount) };
}

/** A logarithmic axis over [low, high], both positive, with ticks at 1, 2 and 5 times powers of ten. */
export function logAxis(low: number, high: number, span: Span): Axis {
  const { at } = linearAxis(Math.log(low), Math.log(high), span, 2);
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of [1, 2, 5]) ticks.push(factor * 10 ** power);
  }
  return { at: (value) => at(Math.log(value)), ticks: ticks.filter((tick) => tick >= low && tick <= high) };
}

/** Multiples of 1, 2 or 5 times a power of ten within [low, high]. */
function roundValues(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // Dividing by the inverse keeps 3 × 0.1 from being 0.30000000000000004.
  const multiple = (index: number) => (step < 1 ? index / Math.round(1 / step) : index * step);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => multiple(first + index));
}

/** A coordinate, to a tenth. */
export function coordinate(value: number): number {
  return Math.round(value * 10) / 10;
}
