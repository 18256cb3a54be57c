/**
 * Which constants that a Gather reads are tables of embeddings: what it looks up goes on as values of the network.
 *
 *   tokens ─▶ Gather(table) ─▶ Add, LayerNormalization, …          an embedding
 *   positions ─▶ Gather(cosines) ─▶ Mul with queries               turns other values: kept
 *   distances ─▶ Gather(biases) ─▶ Add to scores ─▶ Softmax        a part of attention: kept
 */
import { elementCount, intAttribute, type Node, type Tensor, tensorChunks, valuesUsedBy } from '../ir/index.js';
import type { FoundLayers } from './find-layers.js';

/** Rows that are narrower would spend as much on their scales as on their codes. */
const NARROWEST_ROW = 16;
/** Smaller tables take less room than the operators that read their codes. */
const FEWEST_ELEMENTS = 1024;

/** Operators that pass their first input on, in other places. */
const MOVES: ReadonlySet<string> = new Set([
  'Cast',
  'Concat',
  'Expand',
  'Flatten',
  'Identity',
  'Reshape',
  'Slice',
  'Split',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
]);
/** Operators through which a bias reaches the scores of an attention. */
const BIASING: ReadonlySet<string> = new Set([...MOVES, 'Add', 'Where']);
/** Operators whose results are features of a sample, which a table of angles turns; masks are none. */
const PRODUCTS: ReadonlySet<string> = new Set(['Conv', 'FusedMatMul', 'Gemm', 'MatMul', 'MatMulNBits']);
const TRIGONOMETRIC: ReadonlySet<string> = new Set(['Cos', 'Sin']);
/** Operators that take tables of angles, masks and biases beside their first input. */
const ATTENTION: ReadonlySet<string> = new Set([
  'Attention',
  'GroupQueryAttention',
  'MultiHeadAttention',
  'RotaryEmbedding',
]);

/**
 * Why a Gather cannot have a quantized table; null when it can.
 * @param table what it reads
 * @param nodes of the graph that it is in, in topological order
 */
export function reasonToKeepTable(node: Node, table: Pick<Tensor, 'shape'>, nodes: readonly Node[]): string | null {
  const { shape } = table;
  if (shape.length !== 2) return `the table has ${shape.length} dimensions, not 2`;
  if (intAttribute(node, 'axis', 0) !== 0) return 'Gather takes columns of the table, and not rows';
  if (shape[1]! < NARROWEST_ROW) return `rows of ${shape[1]} elements: their scales would take as much room as they do`;
  if (elementCount(shape) < FEWEST_ELEMENTS) return 'the table is smaller than the operators that read its codes';
  return reasonByUse(node.outputs[0]!, nodes);
}

/** The layers without tables that hold infinities, as tables of masks may; those join the nodes that are kept. Reads all tables. */
export async function keepInfiniteTables({ layers, kept }: FoundLayers): Promise<FoundLayers> {
  const infinite = new Set<Tensor>();
  const tables = new Set(layers.flatMap(({ isTable, weight }) => (isTable ? [weight] : [])));
  for (const table of tables) if (!(await isFiniteTensor(table))) infinite.add(table);
  const found = layers.filter(({ weight }) => infinite.has(weight));
  return {
    layers: layers.filter(({ weight }) => !infinite.has(weight)),
    kept: [
      ...kept,
      ...found.map(({ node }) => ({ node: node.name, op: node.opType, reason: 'the table holds infinities' })),
    ],
  };
}

async function isFiniteTensor(tensor: Tensor): Promise<boolean> {
  for await (const bytes of tensorChunks(tensor)) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.byteLength; at += 4) if (!Number.isFinite(view.getFloat32(at, true))) return false;
  }
  return true;
}

function reasonByUse(looked: string, nodes: readonly Node[]): string | null {
  const [derived, moved, biasing, features] = [
    new Set([looked]),
    new Set([looked]),
    new Set([looked]),
    new Set<string>(),
  ];
  for (const node of nodes) {
    const used = [...valuesUsedBy(node)];
    const spread = (values: Set<string>) => {
      for (const output of node.outputs) values.add(output);
    };
    const uses = (values: ReadonlySet<string>) => used.some((name) => values.has(name));
    if (PRODUCTS.has(node.opType) || uses(features)) spread(features);
    if (!uses(derived)) continue;
    if (uses(moved)) {
      const turned = used.find((name) => features.has(name) && !derived.has(name));
      if (node.opType === 'Mul' && turned !== undefined) return `what is looked up multiplies ${turned}`;
      if (TRIGONOMETRIC.has(node.opType))
        return `what is looked up are angles, of which ${node.name} is the ${node.opType}`;
      if (ATTENTION.has(node.opType) && !moved.has(node.inputs[0] ?? ''))
        return `${node.opType} ${node.name} takes what is looked up beside its input`;
    }
    if (node.opType === 'Softmax' && uses(biasing)) return `what is looked up is added to scores of ${node.name}`;
    if (MOVES.has(node.opType) && uses(moved)) spread(moved);
    if (BIASING.has(node.opType) && uses(biasing)) spread(biasing);
    spread(derived);
  }
  return null;
}
