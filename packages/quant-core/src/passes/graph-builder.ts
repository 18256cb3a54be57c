import { type Attribute, elementCount, type Model, NameAllocator, type Node, type Tensor } from '../ir/index.js';
import { makeNode } from './edit-graph.js';

/** A model while it is put together: constants, and nodes in the order in which they are added. */
export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly initializers: Map<string, Tensor>;
  readonly #names: NameAllocator;
  readonly #shared = new Map<string, string>();

  constructor(source: Model) {
    this.#names = new NameAllocator(source);
    this.initializers = new Map(source.graph.initializers);
  }

  /** A value name that is free. */
  value(base: string): string {
    return this.#names.value(base);
  }

  /** A constant of its own. */
  constant(base: string, tensor: Tensor): string {
    const name = this.#names.value(base);
    this.initializers.set(name, tensor);
    return name;
  }

  /** A small constant in memory, stored once however often it is asked for. */
  shared(base: string, tensor: Tensor): string {
    if (tensor.data.kind !== 'memory') throw new TypeError(`${base} is too large to be compared`);
    const key = `${tensor.dtype}[${tensor.shape}]${Buffer.from(tensor.data.bytes).toString('latin1')}`;
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const name = this.constant(elementCount(tensor.shape) > 1 ? `${base}_${elementCount(tensor.shape)}` : base, tensor);
    this.#shared.set(key, name);
    return name;
  }

  /** Adds a node with one output and returns the output's name, made from the given one; it also names the node. */
  add(opType: string, inputs: string[], output: string, attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.addNamed(opType, inputs, this.#names.value(output), attributes);
  }

  /** Adds a node whose output has exactly the given name, which must be free or freed. */
  addNamed(
    opType: string,
    inputs: string[],
    output: string,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string {
    this.nodes.push(makeNode(this.#names.node(output), opType, inputs, [output], attributes));
    return output;
  }

  /** Adds a node of another domain, under the node name of the operator that it replaces. */
  call(
    domain: string,
    opType: string,
    inputs: string[],
    [name, output]: readonly [name: string, output: string],
    attributes: Readonly<Record<string, Attribute>>,
  ): void {
    this.nodes.push({ ...makeNode(name, opType, inputs, [output], attributes), domain });
  }
}
