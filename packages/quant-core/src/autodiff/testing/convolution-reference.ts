import { elementCount, intAttribute } from '../../ir/index.js';
import type { ReferenceOp, Tensor64 } from './reference.js';
import { at, tensor64 } from './tensor64.js';
import { type Connection, slide, slideTransposed } from './windows-reference.js';

/** Calls with every triple of flat indices that w[k] connects: u[i], the input of the convolution, and v[o], its output. */
function forEachProduct(
  { n, m, c, group }: { n: number; m: number; c: number; group: number },
  { inputs, outputs, taps }: { inputs: number; outputs: number; taps: number },
  connections: readonly Connection[],
  visit: (o: number, i: number, k: number) => void,
): void {
  for (let image = 0; image < n; image++) {
    for (let to = 0; to < m; to++) {
      const first = Math.floor(to / (m / group)) * c;
      for (let from = 0; from < c; from++) {
        const [v, u] = [(image * m + to) * outputs, (image * c * group + first + from) * inputs];
        const w = (to * c + from) * taps;
        for (const { output, input, tap } of connections) visit(v + output, u + input, w + tap);
      }
    }
  }
}

function withBias(y: Tensor64, bias: Tensor64 | undefined): Tensor64[] {
  if (bias === undefined) return [y];
  return [tensor64(y.shape, (index, flat) => y.data[flat]! + at(bias, [index[1]!]))];
}

const conv: ReferenceOp = ([x, w, bias], node) => {
  const [n, m, c, group] = [x!.shape[0]!, w!.shape[0]!, w!.shape[1]!, intAttribute(node, 'group', 1)];
  const [inputs, kernel] = [x!.shape.slice(2), w!.shape.slice(2)];
  const { outputs, connections } = slide(node, inputs, kernel);
  const y = tensor64([n, m, ...outputs], () => 0);
  const counts = { inputs: elementCount(inputs), outputs: elementCount(outputs), taps: elementCount(kernel) };
  forEachProduct({ n, m, c, group }, counts, connections, (o, i, k) => {
    y.data[o]! += x!.data[i]! * w!.data[k]!;
  });
  return withBias(y, bias);
};

const convTranspose: ReferenceOp = ([x, w, bias], node) => {
  const [n, m, c, group] = [x!.shape[0]!, w!.shape[0]!, w!.shape[1]!, intAttribute(node, 'group', 1)];
  const [outputs, kernel] = [x!.shape.slice(2), w!.shape.slice(2)];
  const { inputs, connections } = slideTransposed(node, outputs, kernel);
  const y = tensor64([n, c * group, ...inputs], () => 0);
  const counts = { inputs: elementCount(inputs), outputs: elementCount(outputs), taps: elementCount(kernel) };
  forEachProduct({ n, m, c, group }, counts, connections, (o, i, k) => {
    y.data[i]! += x!.data[o]! * w!.data[k]!;
  });
  return withBias(y, bias);
};

export const CONVOLUTION_REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
};
