import {
  type Attribute,
  type FunctionDefinition,
  intsValue,
  intValue,
  type Node,
  type Tensor,
  tensorValue,
} from '../../ir/index.js';
import { makeNode } from '../../passes/edit-graph.js';

/** Attribute types that bodies refer to, by their numbers in the format. */
const ATTRIBUTE_TYPE = { int: 2, ints: 7 } as const;

/** The body of a model-local function while it is put together. Nodes are named after their output. */
export class FunctionBody {
  readonly #nodes: Node[] = [];
  readonly #attributes: string[] = [];

  /** Adds a node with one output and returns the output's name, which must be new. */
  add(opType: string, inputs: string[], output: string, attributes: Readonly<Record<string, Attribute>> = {}): string {
    this.#nodes.push(makeNode(output, opType, inputs, [output], attributes));
    return output;
  }

  /** A reference to an attribute of the function's call. */
  attribute(name: string, type: keyof typeof ATTRIBUTE_TYPE): Attribute {
    if (!this.#attributes.includes(name)) this.#attributes.push(name);
    return { kind: 'ref', value: name, type: ATTRIBUTE_TYPE[type] };
  }

  /** References to several integer lists, each under its own name. */
  intLists(...names: readonly string[]): Record<string, Attribute> {
    return Object.fromEntries(names.map((name) => [name, this.attribute(name, 'ints')]));
  }

  tensor(output: string, tensor: Tensor): string {
    return this.add('Constant', [], output, { value: tensorValue(tensor) });
  }

  ints(output: string, values: readonly number[]): string {
    return this.add('Constant', [], output, { value_ints: intsValue(values) });
  }

  int(output: string, value: number): string {
    return this.add('Constant', [], output, { value_int: intValue(value) });
  }

  /** An int64 tensor, or scalar, with the value of an attribute. */
  attributeValue(output: string, name: string, type: keyof typeof ATTRIBUTE_TYPE): string {
    const key = type === 'int' ? 'value_int' : 'value_ints';
    return this.add('Constant', [], output, { [key]: this.attribute(name, type) });
  }

  /** Names an attribute that kernels read and that the body has no use for. */
  declare(name: string): void {
    if (!this.#attributes.includes(name)) this.#attributes.push(name);
  }

  define(
    domain: string,
    name: string,
    inputs: string[],
    outputs: string[],
    opsetImports: ReadonlyMap<string, number>,
  ): FunctionDefinition {
    return {
      name,
      domain,
      overload: '',
      inputs,
      outputs,
      attributes: this.#attributes,
      nodes: this.#nodes,
      opsetImports: new Map(opsetImports),
    };
  }
}
