/**
 * Initializers of a network as one vector that goes in:
 *
 *   P ─▶ Split ─▶ Reshape ─▶ the name that the initializer had
 *
 * Hundreds of small inputs cost more than the copy.
 */
import type { Shape } from '../autodiff/shaped-builder.js';
import { elementCount, intValue, type Model, NameAllocator, readFloats, tensorFromInt64 } from '../ir/index.js';
import { makeNode } from '../passes/edit-graph.js';

/** Where a tensor is in the vector of parameters. */
export interface Parameter {
  /** Of the initializer that it takes the place of. */
  readonly name: string;
  readonly shape: Shape;
  readonly offset: number;
  readonly length: number;
}

/** Places one after the other. @param offset of the first */
export function parametersOf({ graph }: Model, names: readonly string[], offset = 0): Parameter[] {
  let next = offset;
  return names.map((name) => {
    const { shape } = graph.initializers.get(name)!;
    const parameter = { name, shape, offset: next, length: elementCount(shape) };
    next += parameter.length;
    return parameter;
  });
}

export function vectorLength(parameters: readonly Parameter[]): number {
  return parameters.reduce((sum, { length }) => sum + length, 0);
}

/** What the initializers hold. */
export async function initialVector({ graph }: Model, parameters: readonly Parameter[]): Promise<Float32Array> {
  const vector = new Float32Array(vectorLength(parameters));
  const [first] = parameters;
  for (const { name, offset } of parameters)
    vector.set(await readFloats(graph.initializers.get(name)!), offset - first!.offset);
  return vector;
}

/** The model with a vector as a further input in the place of initializers; the given one stays as it is. */
export function withParameterInput(model: Model, parameters: readonly Parameter[]): { model: Model; input: string } {
  const names = new NameAllocator(model);
  const input = names.value('P');
  const replaced = new Set(parameters.map(({ name }) => name));
  const initializers = new Map([...model.graph.initializers].filter(([name]) => !replaced.has(name)));
  const ints = (base: string, values: readonly number[]) => {
    const name = names.value(base);
    initializers.set(name, tensorFromInt64([values.length], values));
    return name;
  };
  const node = (opType: string, inputs: string[], outputs: string[], attributes = {}) =>
    makeNode(names.node(outputs[0]!), opType, inputs, outputs, attributes);
  const flat = parameters.map(({ name }) => names.value(`${name}_flat`));
  const lengths = parameters.map(({ length }) => length);
  const nodes = [
    node('Split', [input, ints('lengths', lengths)], flat, { axis: intValue(0) }),
    ...parameters.map(({ name, shape }, i) => node('Reshape', [flat[i]!, ints('shape', shape)], [name])),
    ...model.graph.nodes,
  ];
  const inputs = [
    ...model.graph.inputs.filter(({ name }) => !model.graph.initializers.has(name)),
    { name: input, dtype: 'float32' as const, shape: [vectorLength(parameters)] },
  ];
  return { model: { ...model, graph: { ...model.graph, nodes, inputs, initializers } }, input };
}
