/** A straight line through points, by least squares. */
export interface Trend {
  readonly slope: number;
  /** Standard error of the slope, from how far the points lie from the line. */
  readonly slopeError: number;
}

/** @param points at least three, not all at the same x */
export function trendOf(points: readonly (readonly [x: number, y: number])[]): Trend {
  const mean = (of: 0 | 1) => points.reduce((sum, point) => sum + point[of], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  const rest = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return { slope, slopeError: Math.sqrt(rest / (points.length - 2) / spread) };
}
