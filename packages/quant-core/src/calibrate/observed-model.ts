import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Model, NameAllocator, type Node, type ValueInfo } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import type { Runtime, Session, SessionOptions } from '../runtime/runtime.js';

const STANDARD_OPSET = 13;

/** What loading a scratch copy of a model takes. */
export interface Laboratory {
  readonly runtime: Runtime;
  /** An existing folder for scratch files; what is put there is removed again. */
  readonly scratchDir: string;
  readonly options: SessionOptions;
}

/** Names of the values that the main graph computes or is fed; those of subgraphs and functions are not among them. */
export function mainGraphValues(model: Model): Set<string> {
  const { inputs, initializers } = model.graph;
  const names = new Set(inputs.map(({ name }) => name).filter((name) => !initializers.has(name)));
  for (const node of model.graph.nodes) for (const output of node.outputs) if (output !== '') names.add(output);
  return names;
}

/** The model with the given values of its main graph as its only outputs. Nodes and tensors are shared, not copied. */
export function withOutputs(model: Model, names: readonly string[]): Model {
  const outputs: ValueInfo[] = names.map((name) => ({ name, dtype: 'undefined', shape: null }));
  return { ...model, graph: { ...model.graph, outputs } };
}

/**
 * The model with the shapes of the given values as its only outputs, in their order: so that sizes are known before any
 * of the values is kept.
 */
export function withShapeOutputs(model: Model, names: readonly string[]): { model: Model; outputs: string[] } {
  const allocate = new NameAllocator(model);
  const outputs = names.map((name) => allocate.value(`${name}_shape`));
  const nodes: Node[] = names.map((name, i) => ({
    name: allocate.node(`${name}_shape`),
    opType: 'Shape',
    domain: '',
    inputs: [name],
    outputs: [outputs[i] as string],
    attributes: new Map(),
  }));
  const graph = { ...model.graph, nodes: [...model.graph.nodes, ...nodes] };
  // A model of custom operators alone need not import the standard ones.
  const opsetImports = new Map([['', STANDARD_OPSET], ...model.opsetImports]);
  return { model: withOutputs({ ...model, opsetImports, graph }, outputs), outputs };
}

/** Writes a scratch model, its large weights by reference, loads it, removes the files and hands over the session. */
export async function loadScratchModel(model: Model, { runtime, scratchDir, options }: Laboratory): Promise<Session> {
  const folder = await mkdtemp(join(scratchDir, 'observe-'));
  try {
    const path = join(folder, 'model.onnx');
    await writeModel(model, path, { externalData: 'by-reference' });
    return await runtime.load(path, options);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
