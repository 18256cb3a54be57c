import type { Cells, Histogram } from './histogram.js';

/**
 * The range without the largest and the smallest values: `percentile` percent of all values lie at or below its upper
 * end, and as many at or above its lower end. Within a bin values count as evenly spread.
 * @param percentile above 50, at most 100
 */
export function percentileRange(histogram: Histogram, percentile: number): readonly [number, number] {
  const cells = histogram.cells();
  const spared = histogram.count * (1 - percentile / 100);
  return [lowerEnd(cells, spared), upperEnd(cells, spared)];
}

function upperEnd({ lower, upper, counts }: Cells, spared: number): number {
  let above = 0;
  for (let i = counts.length - 1; i >= 0; i--) {
    const count = counts[i] as number;
    if (above + count > spared)
      return (upper[i] as number) - ((spared - above) / count) * ((upper[i] as number) - (lower[i] as number));
    above += count;
  }
  return 0;
}

function lowerEnd({ lower, upper, counts }: Cells, spared: number): number {
  let below = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i] as number;
    if (below + count > spared)
      return (lower[i] as number) + ((spared - below) / count) * ((upper[i] as number) - (lower[i] as number));
    below += count;
  }
  return 0;
}
