import type { LayerPrecision } from '@tritforge/contracts';
import type { WeightCodes } from './encoded-weight.js';

/** The codes of a precision that is not floating point: 2 bits are ternary in groups, and uniform without them. */
export function codesKind({ bits, groupSize }: Pick<LayerPrecision, 'bits' | 'groupSize'>): WeightCodes['kind'] {
  switch (bits) {
    case 8:
      return 'int8';
    case 4:
      return 'int4';
    case 2:
      return groupSize === null ? 'int2' : 'ternary';
    case null:
      throw new TypeError('weights in floating point have no codes');
  }
}
