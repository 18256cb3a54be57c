import { divergence } from './divergence.js';
import { dynamicFixedPointRange } from './dynamic-fixed-point.js';
import type { Histogram } from './histogram.js';
import { percentileRange } from './percentile-range.js';
import { searchEnds } from './search-ends.js';
import { searchFewLevels } from './search-few-levels.js';
import { middlesOf, squaredError } from './squared-error.js';
import { type Affine, affineFor, type MaxCode, type RangeMethod, type ValueRange } from './value-range.js';

/** What a range is chosen by. */
export interface RangeChoice {
  readonly method: RangeMethod;
  /**
   * Share of the values, in percent, that the `percentile` range keeps below its upper end, and above its lower end. Default
   * 99.99, with 4 bits 99.9, with 2 bits 99.
   */
  readonly percentile?: number | undefined;
  /** The value comes out of a ReLU: the range starts at 0. */
  readonly nonNegative: boolean;
  readonly maxCode: MaxCode;
}

/** The fewer the levels, the more a wide range costs the many values in its middle. */
const DEFAULT_PERCENTILE: Readonly<Record<MaxCode, number>> = { 255: 99.99, 15: 99.9, 7: 99.5, 3: 99 };

/** Chooses the range of a value. Zero always lies in it. It does not exceed what was seen, but for few levels and dynamic fixed point. */
export function chooseRange(histogram: Histogram, choice: RangeChoice): ValueRange {
  const [low, high] = ends(histogram, choice);
  const chosenMin = choice.nonNegative ? 0 : Math.min(low, 0);
  const chosenMax = Math.max(high, 0);
  return {
    min: histogram.min,
    max: histogram.max,
    chosenMin,
    chosenMax,
    ...affineFor(chosenMin, chosenMax, choice.nonNegative, choice.maxCode),
    maxCode: choice.maxCode,
  };
}

function ends(histogram: Histogram, choice: RangeChoice): readonly [number, number] {
  switch (choice.method) {
    case 'minmax':
      return [histogram.min, histogram.max];
    case 'percentile':
      return percentileRange(histogram, choice.percentile ?? DEFAULT_PERCENTILE[choice.maxCode]);
    case 'dfp':
      return dynamicFixedPointRange(histogram, choice.nonNegative, choice.maxCode);
    case 'mse': {
      const middles = middlesOf(histogram);
      return search(histogram, choice, (affine) => squaredError(middles, affine, choice.maxCode));
    }
    case 'entropy':
      return search(histogram, choice, divergence(histogram, choice.nonNegative, choice.maxCode));
  }
}

function search(
  histogram: Histogram,
  { nonNegative, maxCode }: RangeChoice,
  cost: (affine: Affine) => number,
): readonly [number, number] {
  return maxCode === 255
    ? searchEnds(histogram, nonNegative, cost)
    : searchFewLevels(histogram, nonNegative, maxCode, cost);
}
