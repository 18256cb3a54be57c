import { intAttribute, intsAttribute, type Node, stringAttribute } from '../../ir/index.js';

/** How a window sees a tensor, row-major over the spatial axes. */
export interface Connection {
  readonly output: number;
  readonly input: number;
  readonly tap: number;
}

interface Sliding {
  readonly outputs: readonly number[];
  /** By output, the taps that are in the input or in the padding that the attributes ask for. */
  readonly paddedTaps: readonly number[];
  /** All pairs of an output and an input under one of its taps; padding has none. */
  readonly connections: readonly Connection[];
}

interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly begin: number;
  readonly end: number;
  readonly count: number;
}

/** Windows by the attributes of Conv, MaxPool and AveragePool. */
export function slide(node: Node, inputs: readonly number[], kernel: readonly number[]): Sliding {
  return connect(inputs.map((size, axis) => forwardAxis(node, { axis, size, rank: inputs.length }, kernel[axis]!)));
}

/** Windows of ConvTranspose on its output: `inputs` are the sizes of the output, `outputs` those of its input. */
export function slideTransposed(
  node: Node,
  places: readonly number[],
  kernel: readonly number[],
): Sliding & { readonly inputs: readonly number[] } {
  const axes = places.map((count, axis) => transposedAxis(node, { axis, count, rank: places.length }, kernel[axis]!));
  return { ...connect(axes), inputs: axes.map(({ size }) => size) };
}

function forwardAxis(
  node: Node,
  { axis, size, rank }: { axis: number; size: number; rank: number },
  kernel: number,
): Axis {
  const stride = intsAttribute(node, 'strides', [])[axis] ?? 1;
  const dilation = intsAttribute(node, 'dilations', [])[axis] ?? 1;
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  const extent = (kernel - 1) * dilation + 1;
  const make = (begin: number, end: number, count: number): Axis => ({
    size,
    kernel,
    stride,
    dilation,
    begin,
    end,
    count,
  });
  if (autoPad.startsWith('SAME')) {
    const count = Math.ceil(size / stride);
    const total = Math.max(0, (count - 1) * stride + extent - size);
    const begin = autoPad === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
    return make(begin, total - begin, count);
  }
  const pads = autoPad === 'VALID' ? [] : intsAttribute(node, 'pads', []);
  const [begin, end] = [pads[axis] ?? 0, pads[axis + rank] ?? 0];
  const isRoundedUp = intAttribute(node, 'ceil_mode', 0) === 1;
  let count = 0;
  // A window counts when it is inside the padded input, or, rounded up, when it starts before the padding behind.
  while (count * stride + extent <= begin + size + end || (isRoundedUp && isLastPart(count))) count++;
  return make(begin, end, count);

  function isLastPart(index: number): boolean {
    return index * stride < begin + size && (index - 1) * stride + extent < begin + size + end;
  }
}

function transposedAxis(
  node: Node,
  { axis, count, rank }: { axis: number; count: number; rank: number },
  kernel: number,
): Axis {
  const stride = intsAttribute(node, 'strides', [])[axis] ?? 1;
  const dilation = intsAttribute(node, 'dilations', [])[axis] ?? 1;
  const extra = intsAttribute(node, 'output_padding', [])[axis] ?? 0;
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  const full = (count - 1) * stride + (kernel - 1) * dilation + 1 + extra;
  const given = intsAttribute(node, 'output_shape', null)?.[axis];
  const make = (size: number, begin: number): Axis => {
    return { size, kernel, stride, dilation, begin, end: full - size - begin, count };
  };
  if (given !== undefined || autoPad.startsWith('SAME')) {
    const size = given ?? count * stride;
    const total = Math.max(0, full - size);
    return make(size, autoPad === 'SAME_UPPER' ? Math.floor(total / 2) : total - Math.floor(total / 2));
  }
  const pads = autoPad === 'VALID' ? [] : intsAttribute(node, 'pads', []);
  return make(full - (pads[axis] ?? 0) - (pads[axis + rank] ?? 0), pads[axis] ?? 0);
}

function connect(axes: readonly Axis[]): Sliding {
  let connections: readonly Connection[] = [{ output: 0, input: 0, tap: 0 }];
  for (const axis of axes) connections = connections.flatMap((outer) => alongAxis(outer, axis));
  return {
    outputs: axes.map(({ count }) => count),
    paddedTaps: axes.reduce<number[]>((outer, axis) => outer.flatMap((n) => paddedTaps(axis).map((m) => n * m)), [1]),
    connections,
  };
}

function alongAxis(outer: Connection, { size, kernel, stride, dilation, begin, count }: Axis): Connection[] {
  const found: Connection[] = [];
  for (let output = 0; output < count; output++) {
    for (let tap = 0; tap < kernel; tap++) {
      const input = output * stride + tap * dilation - begin;
      if (input < 0 || input >= size) continue;
      found.push({
        output: outer.output * count + output,
        input: outer.input * size + input,
        tap: outer.tap * kernel + tap,
      });
    }
  }
  return found;
}

function paddedTaps({ size, kernel, stride, dilation, begin, end, count }: Axis): number[] {
  return Array.from({ length: count }, (_, output) => {
    let taps = 0;
    for (let tap = 0; tap < kernel; tap++) if (output * stride + tap * dilation < begin + size + end) taps++;
    return taps;
  });
}
