import { TritforgeError } from '@tritforge/contracts';
import {
  type Attribute,
  type FunctionDefinition,
  type Graph,
  type Node,
  type Tensor,
  topologicalOrder,
} from '../../ir/index.js';
import { ATTRIBUTE_TYPE } from '../wire/attribute-types.js';
import { type Leftovers, leftovers } from '../wire/leftovers.js';
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  NodeProto,
  OperatorSetIdProto,
  SparseTensorProto,
  TensorProto,
} from '../wire/onnx_pb.js';
import type { OpaqueAttribute, OpaqueFunction, OpaqueGraph, OpaqueNode, SparseTensor } from '../wire/opaque.js';
import type { TensorReader } from './read-tensor-proto.js';
import { readValueInfo } from './read-value-info.js';

const NODE_FIELDS = new Set(['input', 'output', 'name', 'opType', 'domain', 'overload', 'attribute']);
const GRAPH_FIELDS = new Set(['node', 'name', 'initializer', 'sparseInitializer', 'input', 'output', 'valueInfo']);
const SPARSE_FIELDS = new Set(['values', 'indices', 'dims']);
const FUNCTION_FIELDS = new Set([
  'name',
  'input',
  'output',
  'attribute',
  'attributeProto',
  'node',
  'opsetImport',
  'domain',
  'overload',
]);
const ATTRIBUTE_FIELDS = new Set([
  'name',
  'refAttrName',
  'type',
  'f',
  'i',
  's',
  't',
  'g',
  'sparseTensor',
  'tp',
  'floats',
  'ints',
  'strings',
  'tensors',
  'graphs',
  'sparseTensors',
  'typeProtos',
]);

/** Turns decoded graphs, nodes and functions into the graph's types. Recursion is bounded by the skim's depth limit. */
export class GraphReader {
  readonly #tensors: TensorReader;

  constructor(tensors: TensorReader) {
    this.#tensors = tensors;
  }

  graph(proto: GraphProto): Graph {
    const opaque: OpaqueGraph = {
      rest: leftovers(proto, GRAPH_FIELDS),
      sparseInitializers: proto.sparseInitializer.map((sparse) => this.#sparse(sparse)),
    };
    return {
      name: proto.name ?? '',
      nodes: inOrder(proto.node.map((node) => this.#node(node))),
      inputs: proto.input.map(readValueInfo),
      outputs: proto.output.map(readValueInfo),
      initializers: this.#initializers(proto.initializer),
      valueInfo: new Map(proto.valueInfo.map(readValueInfo).map((info) => [info.name, info])),
      ...(opaque.rest || opaque.sparseInitializers.length > 0 ? { opaque } : {}),
    };
  }

  function(proto: FunctionProto): FunctionDefinition {
    const opaque: OpaqueFunction = {
      rest: leftovers(proto, FUNCTION_FIELDS),
      defaults: new Map(proto.attributeProto.map((attribute) => [attribute.name ?? '', this.#attribute(attribute)])),
      defaultRests: attributeRests(proto.attributeProto),
    };
    return {
      name: proto.name ?? '',
      domain: readDomain(proto.domain),
      overload: proto.overload ?? '',
      inputs: proto.input,
      outputs: proto.output,
      attributes: proto.attribute,
      nodes: inOrder(proto.node.map((node) => this.#node(node))),
      opsetImports: readOpsetImports(proto.opsetImport),
      ...(opaque.rest || opaque.defaults.size > 0 ? { opaque } : {}),
    };
  }

  #node(proto: NodeProto): Node {
    const attributes = new Map<string, Attribute>();
    for (const attribute of proto.attribute) {
      const name = attribute.name ?? '';
      if (attributes.has(name)) throw invalid(`Node ${proto.name} (${proto.opType}) has the attribute ${name} twice`);
      attributes.set(name, this.#attribute(attribute));
    }
    const opaque: OpaqueNode = { rest: leftovers(proto, NODE_FIELDS), attributes: attributeRests(proto.attribute) };
    return {
      name: proto.name ?? '',
      opType: proto.opType ?? '',
      domain: readDomain(proto.domain),
      ...(proto.overload ? { overload: proto.overload } : {}),
      inputs: proto.input,
      outputs: proto.output,
      attributes,
      ...(opaque.rest || opaque.attributes.size > 0 ? { opaque } : {}),
    };
  }

  #initializers(protos: readonly TensorProto[]): Map<string, Tensor> {
    const initializers = new Map<string, Tensor>();
    for (const proto of protos) {
      const name = proto.name ?? '';
      if (name === '') throw invalid('An initializer has no name');
      if (initializers.has(name)) throw invalid(`The initializer ${name} occurs twice`);
      initializers.set(name, this.#tensors.read(proto, `Initializer ${name}`, true));
    }
    return initializers;
  }

  #attribute(proto: AttributeProto): Attribute {
    const type = proto.type || impliedType(proto);
    if (proto.refAttrName) return { kind: 'ref', value: proto.refAttrName, type };
    const where = `Attribute ${proto.name ?? ''}`;
    switch (type) {
      case ATTRIBUTE_TYPE.float:
        return { kind: 'float', value: proto.f ?? 0 };
      case ATTRIBUTE_TYPE.int:
        return { kind: 'int', value: proto.i ?? 0n };
      case ATTRIBUTE_TYPE.string:
        return { kind: 'string', value: proto.s ?? new Uint8Array(0) };
      case ATTRIBUTE_TYPE.tensor:
        if (proto.t === undefined) throw invalid(`${where} is a tensor without a value`);
        return { kind: 'tensor', value: this.#tensors.read(proto.t, where) };
      case ATTRIBUTE_TYPE.graph:
        if (proto.g === undefined) throw invalid(`${where} is a graph without a value`);
        return { kind: 'graph', value: this.graph(proto.g) };
      case ATTRIBUTE_TYPE.floats:
        return { kind: 'floats', value: proto.floats };
      case ATTRIBUTE_TYPE.ints:
        return { kind: 'ints', value: proto.ints };
      case ATTRIBUTE_TYPE.strings:
        return { kind: 'strings', value: proto.strings };
      case ATTRIBUTE_TYPE.tensors:
        return { kind: 'tensors', value: proto.tensors.map((tensor) => this.#tensors.read(tensor, where)) };
      case ATTRIBUTE_TYPE.graphs:
        return { kind: 'graphs', value: proto.graphs.map((graph) => this.graph(graph)) };
      default:
        return { kind: 'opaque', value: this.#opaque(proto, type) };
    }
  }

  #opaque(proto: AttributeProto, type: number): OpaqueAttribute {
    switch (type) {
      case ATTRIBUTE_TYPE.sparseTensor:
        return { kind: 'sparse', list: false, tensors: proto.sparseTensor ? [this.#sparse(proto.sparseTensor)] : [] };
      case ATTRIBUTE_TYPE.sparseTensors:
        return { kind: 'sparse', list: true, tensors: proto.sparseTensors.map((sparse) => this.#sparse(sparse)) };
      case ATTRIBUTE_TYPE.typeProto:
        return { kind: 'types', list: false, types: proto.tp ? [proto.tp] : [] };
      case ATTRIBUTE_TYPE.typeProtos:
        return { kind: 'types', list: true, types: proto.typeProtos };
      default:
        throw invalid(`Attribute ${proto.name ?? ''} has the unknown type ${type}`);
    }
  }

  #sparse(proto: SparseTensorProto): SparseTensor {
    if (proto.values === undefined || proto.indices === undefined) throw invalid('A sparse tensor has no data');
    const name = proto.values.name ?? '';
    return {
      name,
      values: this.#tensors.read(proto.values, `Sparse tensor ${name}`, true),
      indices: this.#tensors.read(proto.indices, `Sparse tensor ${name}`),
      dims: proto.dims,
      rest: leftovers(proto, SPARSE_FIELDS),
    };
  }
}

/** Reads opset imports; `ai.onnx` is another name of the standard domain ''. */
export function readOpsetImports(protos: readonly OperatorSetIdProto[]): Map<string, number> {
  const imports = new Map<string, number>();
  for (const proto of protos) {
    const domain = readDomain(proto.domain);
    imports.set(domain, Math.max(imports.get(domain) ?? 0, Number(proto.version ?? 0n)));
  }
  return imports;
}

function readDomain(domain: string | undefined): string {
  return domain === undefined || domain === 'ai.onnx' ? '' : domain;
}

/** The type of an attribute from before IR version 2, which did not state it. */
function impliedType(proto: AttributeProto): number {
  const { f, i, s, t, g } = proto;
  if (f !== undefined) return ATTRIBUTE_TYPE.float;
  if (i !== undefined) return ATTRIBUTE_TYPE.int;
  if (s !== undefined) return ATTRIBUTE_TYPE.string;
  if (t !== undefined) return ATTRIBUTE_TYPE.tensor;
  if (g !== undefined) return ATTRIBUTE_TYPE.graph;
  if (proto.floats.length > 0) return ATTRIBUTE_TYPE.floats;
  if (proto.ints.length > 0) return ATTRIBUTE_TYPE.ints;
  if (proto.strings.length > 0) return ATTRIBUTE_TYPE.strings;
  if (proto.tensors.length > 0) return ATTRIBUTE_TYPE.tensors;
  if (proto.graphs.length > 0) return ATTRIBUTE_TYPE.graphs;
  return ATTRIBUTE_TYPE.undefined;
}

function attributeRests(protos: readonly AttributeProto[]): Map<string, Leftovers> {
  const rests = new Map<string, Leftovers>();
  for (const proto of protos) {
    const rest = leftovers(proto, ATTRIBUTE_FIELDS);
    if (rest !== undefined) rests.set(proto.name ?? '', rest);
  }
  return rests;
}

/** Sorts nodes that a file has out of order. Cycles stay as they are for validation to report. */
function inOrder(nodes: Node[]): Node[] {
  try {
    return topologicalOrder(nodes);
  } catch (error) {
    if (error instanceof TritforgeError && error.code === 'MODEL_CYCLIC') return nodes;
    throw error;
  }
}

function invalid(message: string): TritforgeError {
  return new TritforgeError('MODEL_INVALID', message, { remediation: 'Export the model again; the file is damaged.' });
}
