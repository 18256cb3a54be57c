import { mulberry32 } from '../seeded-random.js';

/**
 * Which positions of each run to look at: all when there are at most `maxRows`, else one drawn from each of `maxRows`
 * equal shares of all positions in their order, so that every run and every part of its images is seen.
 * @param counts positions of each run
 * @returns for each run its chosen positions, ascending
 */
export function choosePositions(counts: readonly number[], maxRows: number, seed: number): Int32Array[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total <= maxRows) return counts.map((count) => Int32Array.from({ length: count }, (_, i) => i));
  const random = mulberry32(seed);
  const chosen: Int32Array[] = [];
  let first = 0;
  let row = 0;
  let next = drawFrom(row, maxRows, total, random);
  for (const count of counts) {
    const positions: number[] = [];
    for (; row < maxRows && next < first + count; next = drawFrom(++row, maxRows, total, random))
      positions.push(next - first);
    chosen.push(Int32Array.from(positions));
    first += count;
  }
  return chosen;
}

/** A position from share `row` of `rows`. */
function drawFrom(row: number, rows: number, total: number, random: () => number): number {
  const start = Math.floor((row * total) / rows);
  const end = Math.floor(((row + 1) * total) / rows);
  return start + Math.floor(random() * (end - start));
}
