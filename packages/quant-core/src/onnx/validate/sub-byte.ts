import { TritforgeError } from '@tritforge/contracts';
import {
  type Attribute,
  type DataType,
  dtypeByNumber,
  type FunctionDefinition,
  type Graph,
  isSubByte,
  type Model,
  type Node,
  subgraphsOf,
  tensorAttribute,
} from '../../ir/index.js';
import { type FunctionsByKey, functionOf, functionsByKey } from './function-calls.js';

/** What matters of a value here: its element type if that is smaller than a byte, and whether it can change. */
interface Value {
  readonly subByte: DataType | null;
  readonly constant: boolean;
}

const ORDINARY: Value = { subByte: null, constant: false };

type Lookup = (name: string) => Value;
type Attributes = ReadonlyMap<string, Attribute>;

/** Operators that take packed constants and return wider types. */
const UNPACKING = new Set(['DequantizeLinear', 'GatherBlockQuantized', 'MatMulNBits', 'Shape', 'Size']);

/**
 * Refuses activations of 4-bit and 2-bit types: onnxruntime 1.30 writes beyond their buffers. Constants of these types
 * are fine, and so is what is computed from constants alone.
 * @throws TritforgeError MODEL_UNSUPPORTED_DTYPE naming the value and the node that makes it
 */
export function checkSubByteActivations(model: Model): void {
  const check = new SubByteCheck(functionsByKey(model));
  check.graph(model.graph, () => ORDINARY, null);
}

class SubByteCheck {
  readonly #functions: FunctionsByKey;
  /** Outputs of functions by what they were called with, so that expanding them stays cheap. */
  readonly #calls = new Map<string, readonly Value[]>();

  constructor(functions: FunctionsByKey) {
    this.#functions = functions;
  }

  graph(graph: Graph, outer: Lookup, call: Attributes | null): void {
    const values = new Map<string, Value>();
    for (const [name, tensor] of graph.initializers) values.set(name, constantOf(tensor.dtype));
    for (const input of graph.inputs) {
      if (isSubByte(input.dtype)) throw refused(input.name, input.dtype);
      if (!graph.initializers.has(input.name)) values.set(input.name, ORDINARY);
    }
    const lookup: Lookup = (name) => values.get(name) ?? outer(name);
    this.#nodes(graph.nodes, values, lookup, call);
    for (const info of graph.valueInfo.values()) {
      if (isSubByte(info.dtype) && !lookup(info.name).constant) throw refused(info.name, info.dtype);
    }
    for (const output of graph.outputs) {
      const dtype = isSubByte(output.dtype) ? output.dtype : lookup(output.name).subByte;
      if (dtype !== null) throw refused(output.name, dtype);
    }
  }

  #nodes(nodes: readonly Node[], values: Map<string, Value>, lookup: Lookup, call: Attributes | null): void {
    for (const node of nodes) {
      const results = this.#node(node, lookup, call);
      node.outputs.forEach((name, index) => {
        const value = results[index] ?? ORDINARY;
        if (value.subByte !== null && !value.constant) throw refused(name, value.subByte, node);
        values.set(name, value);
      });
    }
  }

  #node(node: Node, lookup: Lookup, call: Attributes | null): readonly Value[] {
    const inputs = node.inputs.map((name) => (name === '' ? { subByte: null, constant: true } : lookup(name)));
    const definition = functionOf(this.#functions, node);
    if (definition !== undefined) return this.#call(definition, inputs, resolve(node, call));
    const bodies = subgraphsOf(node);
    if (bodies.length > 0) {
      const carried = inputs.findIndex((input) => input.subByte !== null);
      if (carried >= 0) throw refused(node.inputs[carried]!, inputs[carried]!.subByte!, node);
      for (const body of bodies) this.graph(body, lookup, call);
      return [];
    }
    const constant = inputs.every((input) => input.constant);
    const subByte = resultType(node, inputs, resolve(node, call));
    return node.outputs.map((_, index) => ({ subByte: index === 0 ? subByte : null, constant }));
  }

  #call(definition: FunctionDefinition, inputs: readonly Value[], attributes: Attributes): readonly Value[] {
    const key = JSON.stringify([definition.domain, definition.name, definition.overload, inputs, integers(attributes)]);
    const known = this.#calls.get(key);
    if (known !== undefined) return known;
    const values = new Map(definition.inputs.map((name, index) => [name, inputs[index] ?? ORDINARY]));
    const lookup: Lookup = (name) => values.get(name) ?? ORDINARY;
    this.#nodes(definition.nodes, values, lookup, attributes);
    const outputs = definition.outputs.map(lookup);
    this.#calls.set(key, outputs);
    return outputs;
  }
}

/** The sub-byte type of a node's first output; null when it has a wider one. */
function resultType(node: Node, inputs: readonly Value[], attributes: Attributes): DataType | null {
  switch (node.opType) {
    case 'Cast':
    case 'BitCast':
      return narrow(attributes.get('to'));
    case 'CastLike':
      return inputs[1]?.subByte ?? null;
    case 'QuantizeLinear':
      return narrow(attributes.get('output_dtype')) ?? inputs[2]?.subByte ?? null;
    case 'Constant':
    case 'ConstantOfShape': {
      const tensor = tensorAttribute({ ...node, attributes: new Map(attributes) }, 'value');
      return tensor !== undefined && isSubByte(tensor.dtype) ? tensor.dtype : null;
    }
    default: {
      if (UNPACKING.has(node.opType)) return null;
      // Layout operators keep the type of what they move; generators name it.
      return narrow(attributes.get('dtype')) ?? inputs[0]?.subByte ?? null;
    }
  }
}

function narrow(attribute: Attribute | undefined): DataType | null {
  const dtype = attribute?.kind === 'int' ? dtypeByNumber(Number(attribute.value)) : 'undefined';
  return isSubByte(dtype) ? dtype : null;
}

function constantOf(dtype: DataType): Value {
  return { subByte: isSubByte(dtype) ? dtype : null, constant: true };
}

/** The node's attributes with those of the function call in place of references to them. */
function resolve(node: Node, call: Attributes | null): Attributes {
  if (![...node.attributes.values()].some((attribute) => attribute.kind === 'ref')) return node.attributes;
  const resolved = new Map<string, Attribute>();
  for (const [name, attribute] of node.attributes) {
    const value = attribute.kind === 'ref' ? call?.get(attribute.value) : attribute;
    if (value !== undefined) resolved.set(name, value);
  }
  return resolved;
}

/** The attributes that can decide a type: integers by value, tensors by element type. */
function integers(attributes: Attributes): (readonly [string, string])[] {
  return [...attributes].flatMap(([name, attribute]) => {
    if (attribute.kind === 'int') return [[name, String(attribute.value)] as const];
    return attribute.kind === 'tensor' ? [[name, attribute.value.dtype] as const] : [];
  });
}

function refused(value: string, dtype: DataType, node?: Node): TritforgeError {
  const maker = node ? ` of node ${node.name} (${node.opType})` : '';
  return new TritforgeError('MODEL_UNSUPPORTED_DTYPE', `The value ${value}${maker} is an activation of type ${dtype}`, {
    ...(node && { node: node.name, opType: node.opType }),
    remediation: 'Use 8-bit activations; types below a byte are accepted for constant weights only.',
  });
}
