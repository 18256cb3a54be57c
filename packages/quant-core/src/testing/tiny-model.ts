import type { Attribute, DataType, Dimension, Model, Node, Tensor } from '../ir/index.js';

/** A node of {@link tinyModel}: numbers become int attributes where they are integers, arrays ints, texts strings. */
export interface TinyNode {
  readonly op: string;
  /** The standard one when left out. */
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

type TinyValue = readonly [name: string, dtype: DataType, shape: readonly Dimension[] | null];

/** A model for tests, written out by hand. */
export function tinyModel(parts: {
  inputs: readonly TinyValue[];
  outputs: readonly TinyValue[];
  nodes: readonly TinyNode[];
  constants?: Readonly<Record<string, Tensor>>;
  opset?: number;
}): Model {
  const value = ([name, dtype, shape]: TinyValue) => ({ name, dtype, shape });
  const node = ({ op, domain = '', name, inputs, outputs, attributes }: TinyNode, i: number): Node => ({
    name: name ?? `${op}_${i}`,
    opType: op,
    domain,
    inputs: [...inputs],
    outputs: [...outputs],
    attributes: new Map(Object.entries(attributes ?? {})),
  });
  return {
    irVersion: 8,
    opsetImports: new Map([
      ['', parts.opset ?? 17],
      ...parts.nodes.flatMap(({ domain = '' }): [string, number][] => (domain === '' ? [] : [[domain, 1]])),
    ]),
    graph: {
      name: 'tiny',
      nodes: parts.nodes.map(node),
      inputs: parts.inputs.map(value),
      outputs: parts.outputs.map(value),
      initializers: new Map(Object.entries(parts.constants ?? {})),
      valueInfo: new Map(),
    },
    functions: [],
    producer: null,
  };
}
