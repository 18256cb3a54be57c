import type { Dimension } from '../graph.js';

/** Arithmetic on sizes that may be symbolic or unknown. What cannot be told is null; nothing here throws. */

export type Shape = readonly Dimension[];

/** A size as a result may carry it: negative, fractional and huge numbers mean that the graph makes no sense there. */
export function sizeOrUnknown(size: Dimension | undefined): Dimension {
  if (typeof size !== 'number') return size ?? null;
  return Number.isSafeInteger(size) && size >= 0 ? size : null;
}

export function multiply(a: Dimension, b: Dimension): Dimension {
  if (a === 1) return b;
  if (b === 1) return a;
  if (a === 0 || b === 0) return 0;
  return typeof a === 'number' && typeof b === 'number' ? a * b : null;
}

/** Product of sizes; 1 for none. */
export function productOf(sizes: Shape): Dimension {
  return sizes.reduce<Dimension>(multiply, 1);
}

export function add(a: Dimension, b: Dimension): Dimension {
  if (a === 0) return b;
  if (b === 0) return a;
  return typeof a === 'number' && typeof b === 'number' ? a + b : null;
}

/** `apply` to the size if it is a number; unknown otherwise. */
export function mapSize(size: Dimension | undefined, apply: (size: number) => number): Dimension {
  return typeof size === 'number' ? apply(size) : null;
}

/** The shape that NumPy broadcasting gives; null when any rank is unknown. */
export function broadcast(shapes: readonly (Shape | null)[]): Shape | null {
  let result: Shape = [];
  for (const shape of shapes) {
    if (shape === null) return null;
    const rank = Math.max(result.length, shape.length);
    const [a, b]: [Shape, Shape] = [result, shape];
    result = Array.from({ length: rank }, (_, axis) =>
      broadcastSize(
        a[axis - rank + a.length] ?? absent(a, axis, rank),
        b[axis - rank + b.length] ?? absent(b, axis, rank),
      ),
    );
  }
  return result;
}

/** A missing leading dimension counts as 1; a present one that is unknown stays so. */
function absent(shape: Shape, axis: number, rank: number): Dimension {
  return axis < rank - shape.length ? 1 : null;
}

function broadcastSize(a: Dimension, b: Dimension): Dimension {
  if (a === 1) return b;
  if (b === 1 || a === b) return a;
  if (typeof a === 'number') return a;
  return typeof b === 'number' ? b : null;
}

/** Combines two claims about one value: a number says more than a name, a name more than nothing. */
export function mergeShapes(a: Shape | null, b: Shape | null): Shape | null {
  if (a === null || b === null) return a ?? b;
  if (a.length !== b.length) return a;
  return a.map((size, axis) =>
    typeof size === 'number' ? size : typeof b[axis] === 'number' ? b[axis] : (size ?? b[axis]!),
  );
}

/** The axis counted from the front; null when it lies outside the rank. */
export function axisIn(rank: number, axis: number): number | null {
  const index = axis < 0 ? axis + rank : axis;
  return Number.isInteger(index) && index >= 0 && index < rank ? index : null;
}
