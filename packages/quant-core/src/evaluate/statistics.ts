/** Arithmetic mean, summed in order; NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  return sum / values.length;
}

/** Standard error of the mean, s / √n with Bessel's correction; null for fewer than two values. */
export function standardError(values: ArrayLike<number>): number | null {
  const n = values.length;
  if (n < 2) return null;
  const average = mean(values);
  let squares = 0;
  for (let i = 0; i < n; i++) squares += ((values[i] as number) - average) ** 2;
  return Math.sqrt(squares / (n - 1) / n);
}

/** The p-quantile, 0 ≤ p ≤ 1, with linear interpolation between order statistics; NaN of nothing. */
export function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = p * (sorted.length - 1);
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}
