import { type Attribute, elementCount, type Model, NameAllocator, type Node, type Tensor } from '../ir/index.js';
import { makeNode } from '../passes/edit-graph.js';

/** A quantized model while it is put together: constants, and nodes in the order in which they are added. */
export class GraphBuilder {
  /** What decodes weights; runs before everything else, and at load time only. */
  readonly prelude: Node[] = [];
  readonly body: Node[] = [];
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

  /** Adds a node with one output to the prelude and returns the output's name, which also names the node. */
  before(
    opType: string,
    inputs: string[],
    output: string,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string {
    return this.#add(this.prelude, opType, inputs, this.#names.value(output), attributes);
  }

  /** Adds a node whose output has exactly the given name, which must be free or freed. */
  next(opType: string, inputs: string[], output: string, attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.#add(this.body, opType, inputs, output, attributes);
  }

  #add(
    nodes: Node[],
    opType: string,
    inputs: string[],
    output: string,
    attributes: Readonly<Record<string, Attribute>>,
  ): string {
    nodes.push(makeNode(this.#names.node(output), opType, inputs, [output], attributes));
    return output;
  }
}
