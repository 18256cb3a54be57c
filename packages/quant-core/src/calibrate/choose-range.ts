import type { Histogram } from './histogram.js';
import { mseRangeOfFewLevels } from './mse-few-levels.js';
import { mseRange } from './mse-range.js';
import { percentileRange } from './percentile-range.js';
import { affineFor, type MaxCode, type RangeMethod, type ValueRange } from './value-range.js';

/** What a range is chosen by. */
export interface RangeChoice {
  readonly method: RangeMethod;
  /**
   * Share of the values, in percent, that the `percentile` range keeps below its upper end, and above its lower end.
   */
  readonly percentile: number;
  /** The value comes out of a ReLU: the range starts at 0. */
  readonly nonNegative: boolean;
  readonly maxCode: MaxCode;
}

/** Chooses the range of a value. Zero always lies in it; but for few levels it does not exceed what was seen. */
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
      return percentileRange(histogram, choice.percentile);
    case 'mse':
      return choice.maxCode === 255
        ? mseRange(histogram, choice.nonNegative)
        : mseRangeOfFewLevels(histogram, choice.nonNegative, choice.maxCode);
  }
}
