import { TritforgeError } from '@tritforge/contracts';
import {
  type DataType,
  elementCount,
  GraphIndex,
  isFloat,
  type Model,
  type Scope,
  type Tensor,
  tensorChunks,
  walkGraphs,
} from '../../ir/index.js';

/** Operators whose constant inputs are learned: neither NaN nor infinity makes sense there. */
const LEARNED = new Set([
  'Conv',
  'ConvTranspose',
  'Gemm',
  'MatMul',
  'BatchNormalization',
  'InstanceNormalization',
  'LayerNormalization',
  'GroupNormalization',
  'LSTM',
  'GRU',
  'RNN',
  'PRelu',
  'QuantizeLinear',
  'DequantizeLinear',
]);

/** A constant with where it is used. */
interface Candidate {
  readonly name: string;
  readonly tensor: Tensor;
  node: string | null;
  opType: string | null;
  /** Whether infinity is refused too; masks and bounds have it for good reasons. */
  strict: boolean;
}

/**
 * Scans float constants, from the file in pieces. Learned constants must be finite; other constants of more than one
 * element must not contain NaN.
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS naming tensor, node and element
 */
export async function checkFiniteWeights(model: Model): Promise<void> {
  for (const candidate of candidatesOf(model)) {
    const found = await firstNonFinite(candidate.tensor, candidate.strict);
    if (found === null) continue;
    const { name, node, opType } = candidate;
    const user = node === null ? '' : ` of node ${node} (${opType})`;
    throw new TritforgeError(
      'MODEL_NONFINITE_WEIGHTS',
      `The constant ${name}${user} has ${found.what} at element ${found.index}`,
      {
        ...(node !== null && { node }),
        ...(opType !== null && { opType }),
        field: name,
        remediation: 'The training diverged or the export is damaged; export a healthy checkpoint.',
      },
    );
  }
}

function candidatesOf(model: Model): Iterable<Candidate> {
  const candidates = new Map<Tensor, Candidate>();
  const indices = new Map<Scope, GraphIndex>();
  const add = (name: string, tensor: Tensor) => {
    const isScalar = elementCount(tensor.shape) <= 1;
    if (!isFloat(tensor.dtype) || candidates.has(tensor)) return;
    candidates.set(tensor, { name, tensor, node: null, opType: null, strict: false });
    if (isScalar) scalars.add(tensor);
  };
  const scalars = new Set<Tensor>();
  walkGraphs(model, (scope) => {
    if (scope.graph !== null) indices.set(scope, new GraphIndex(scope.graph));
    for (const [name, tensor] of scope.graph?.initializers ?? []) add(name, tensor);
    for (const node of scope.nodes) {
      for (const [key, attribute] of node.attributes) {
        if (attribute.kind === 'tensor' && node.opType === 'Constant') add(node.outputs[0] ?? key, attribute.value);
      }
      if (!LEARNED.has(node.opType)) continue;
      for (const input of node.inputs) {
        const constant = resolve(input, scope, indices);
        const candidate = constant && candidates.get(constant.tensor);
        if (candidate) Object.assign(candidate, { node: node.name, opType: node.opType, strict: true });
      }
    }
  });
  for (const tensor of scalars) if (!candidates.get(tensor)!.strict) candidates.delete(tensor);
  return candidates.values();
}

function resolve(name: string, scope: Scope, indices: ReadonlyMap<Scope, GraphIndex>) {
  for (let at: Scope | null = scope; at !== null; at = at.parent) {
    const constant = indices.get(at)?.constantOf(name);
    if (constant !== undefined) return constant;
  }
  return undefined;
}

/** Where the exponent and the fraction of a float type are, in units of the words it is scanned in. */
interface Format {
  readonly words: (bytes: Uint8Array) => Uint16Array | Uint32Array;
  readonly exponent: number;
  readonly fraction: number;
  /** Words per element; the last one holds the exponent. */
  readonly wordsPerElement: number;
}

const words16 = (bytes: Uint8Array) => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
const words32 = (bytes: Uint8Array) => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

const FORMATS: Partial<Record<DataType, Format>> = {
  float16: { words: words16, exponent: 0x7c00, fraction: 0x03ff, wordsPerElement: 1 },
  bfloat16: { words: words16, exponent: 0x7f80, fraction: 0x007f, wordsPerElement: 1 },
  float32: { words: words32, exponent: 0x7f800000, fraction: 0x007fffff, wordsPerElement: 1 },
  float64: { words: words32, exponent: 0x7ff00000, fraction: 0x000fffff, wordsPerElement: 2 },
};

async function firstNonFinite(tensor: Tensor, strict: boolean): Promise<{ what: string; index: number } | null> {
  const format = FORMATS[tensor.dtype]!;
  const { exponent, fraction, wordsPerElement } = format;
  let base = 0;
  for await (const chunk of tensorChunks(tensor)) {
    // Constants in memory are views into the file's bytes at any offset; typed arrays need them aligned.
    const words = format.words(chunk.byteOffset % 8 === 0 ? chunk : chunk.slice());
    for (let at = wordsPerElement - 1; at < words.length; at += wordsPerElement) {
      const word = words[at]!;
      if ((word & exponent) !== exponent) continue;
      const undefinedNumber = (word & fraction) !== 0 || (wordsPerElement === 2 && words[at - 1] !== 0);
      if (!undefinedNumber && !strict) continue;
      return { what: undefinedNumber ? 'NaN' : 'infinity', index: base + (at - wordsPerElement + 1) / wordsPerElement };
    }
    base += words.length / wordsPerElement;
  }
  return null;
}
