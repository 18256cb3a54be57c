import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Graph, Model, Node, Tensor } from '@tritforge/quant-core/ir';
import { writeModel } from '@tritforge/quant-core/onnx';

/** Inputs and outputs of the network. */
export const INPUTS = 1024;
const OUTPUTS = 1000;
/** Width of the hidden layers unless told: one of them takes 268 MB, which is what fits a machine with little memory. */
const HIDDEN = 8192;
const FLOAT_BYTES = 4;
const FILL_FLOATS = 1 << 20;

/** A generated model: the .onnx file first, then its external data if it has any. */
export interface LargeModel {
  readonly files: readonly string[];
  readonly layers: number;
}

/** Another shape of the network. */
export interface LargeShape {
  readonly hidden?: number;
  /** Whether a sample is a sequence of vectors instead of one. */
  readonly isSequence?: boolean;
}

/**
 * Writes a chain of fully connected layers with Relu, whose weights take `weightBytes`, without holding more than a few
 * megabytes of them. The weights are normal numbers with He's variance from a seeded generator.
 */
export async function generateModel(
  folder: string,
  weightBytes: number,
  place: 'external' | 'inside',
  { hidden = HIDDEN, isSequence = false }: LargeShape = {},
): Promise<LargeModel> {
  const widths = layerWidths(weightBytes, hidden);
  const path = join(folder, 'model.onnx');
  const weightsPath = join(folder, 'model.onnx.data');
  const model = chain(widths, await writeWeights(weightsPath, widths), isSequence ? ['batch', 'tokens'] : ['batch']);
  const { files } = await writeModel(model, path, { externalData: place === 'inside' ? 'never' : 'by-reference' });
  if (place === 'inside') await rename(weightsPath, join(folder, 'weights.bin'));
  const names = place === 'inside' ? files.map(({ name }) => name) : ['model.onnx', 'model.onnx.data'];
  return { files: names.map((name) => join(folder, name)), layers: widths.length - 1 };
}

/** As many full hidden layers as fit, then one that takes what is left. */
function layerWidths(weightBytes: number, hidden: number): number[] {
  const widths = [INPUTS];
  let left = weightBytes / FLOAT_BYTES;
  for (;;) {
    const last = widths.at(-1)!;
    const remaining = left - last * hidden;
    if (remaining < hidden * OUTPUTS) break;
    widths.push(hidden);
    left = remaining;
  }
  return [...widths, Math.max(1, Math.round(left / (widths.at(-1)! + OUTPUTS))), OUTPUTS];
}

async function writeWeights(path: string, widths: readonly number[]): Promise<Tensor[]> {
  const random = normalNumbers(1);
  const tensors: Tensor[] = [];
  const file = await open(path, 'wx');
  try {
    let offset = 0;
    for (let layer = 0; layer + 1 < widths.length; layer++) {
      const [rows, columns] = [widths[layer]!, widths[layer + 1]!];
      const byteLength = rows * columns * FLOAT_BYTES;
      tensors.push({ dtype: 'float32', shape: [rows, columns], data: { kind: 'file', path, offset, byteLength } });
      for (let written = 0; written < rows * columns; written += FILL_FLOATS) {
        const count = Math.min(FILL_FLOATS, rows * columns - written);
        const values = Float32Array.from({ length: count }, () => random() * Math.sqrt(2 / rows));
        await file.writeFile(new Uint8Array(values.buffer));
      }
      offset += byteLength;
    }
  } finally {
    await file.close();
  }
  return tensors;
}

function chain(widths: readonly number[], weights: readonly Tensor[], axes: readonly string[]): Model {
  const node = (opType: string, layer: number, inputs: string[], output: string): Node => {
    return { name: `${opType}_${layer}`, opType, domain: '', inputs, outputs: [output], attributes: new Map() };
  };
  const nodes = weights.flatMap((_, layer) => {
    const isLast = layer === weights.length - 1;
    const product = node('MatMul', layer, [layer === 0 ? 'x' : `y${layer - 1}`, `w${layer}`], `p${layer}`);
    if (isLast) return [{ ...product, outputs: ['y'] }];
    return [product, node('Relu', layer, [`p${layer}`], `y${layer}`)];
  });
  const graph: Graph = {
    name: 'large',
    nodes,
    inputs: [{ name: 'x', dtype: 'float32', shape: [...axes, widths[0]!] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: [...axes, widths.at(-1)!] }],
    initializers: new Map(weights.map((weight, layer) => [`w${layer}`, weight])),
    valueInfo: new Map(),
  };
  return { irVersion: 8, opsetImports: new Map([['', 17]]), graph, functions: [], producer: 'tritforge-bench' };
}

/** Standard normal numbers by Box and Muller, two at a time, over a linear congruential generator. */
export function normalNumbers(seed: number): () => number {
  let state = seed;
  let spare: number | null = null;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
