import { create } from '@bufbuild/protobuf';
import {
  type Attribute,
  type FunctionDefinition,
  type Graph,
  type Model,
  type Node,
  numberOfDtype,
  type Tensor,
} from '../../ir/index.js';
import { ATTRIBUTE_TYPE } from '../wire/attribute-types.js';

import { type Leftovers, restore } from '../wire/leftovers.js';
import {
  type AttributeProto,
  AttributeProtoSchema,
  type FunctionProto,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type OperatorSetIdProto,
  OperatorSetIdProtoSchema,
  type SparseTensorProto,
  SparseTensorProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../wire/onnx_pb.js';
import type {
  OpaqueAttribute,
  OpaqueFunction,
  OpaqueGraph,
  OpaqueModel,
  OpaqueNode,
  SparseTensor,
} from '../wire/opaque.js';
import type { DataPlacement } from './payloads.js';
import { writeValueInfo } from './write-value-info.js';

/** Turns a model into its message. Tensor bytes go where the placement says, by reference. */
export class GraphWriter {
  readonly #placement: DataPlacement;

  constructor(placement: DataPlacement) {
    this.#placement = placement;
  }

  model(model: Model): ModelProto {
    const proto = restore(ModelProtoSchema, (model.opaque as OpaqueModel | undefined)?.rest);
    proto.irVersion = BigInt(model.irVersion);
    if (model.producer !== null) proto.producerName = model.producer;
    proto.opsetImport = opsetImports(model.opsetImports);
    proto.graph = this.#graph(model.graph);
    proto.functions = model.functions.map((definition) => this.#function(definition));
    return proto;
  }

  #graph(graph: Graph): GraphProto {
    const opaque = graph.opaque as OpaqueGraph | undefined;
    const proto = restore(GraphProtoSchema, opaque?.rest);
    proto.name = graph.name;
    proto.node = graph.nodes.map((node) => this.#node(node));
    proto.initializer = Array.from(graph.initializers, ([name, tensor]) => this.#tensor(tensor, name, true));
    proto.sparseInitializer = (opaque?.sparseInitializers ?? []).map((sparse) => this.#sparse(sparse));
    proto.input = graph.inputs.map(writeValueInfo);
    proto.output = graph.outputs.map(writeValueInfo);
    proto.valueInfo = Array.from(graph.valueInfo.values(), writeValueInfo);
    return proto;
  }

  #node(node: Node): NodeProto {
    const opaque = node.opaque as OpaqueNode | undefined;
    const proto = restore(NodeProtoSchema, opaque?.rest);
    proto.name = node.name;
    proto.opType = node.opType;
    if (node.domain !== '') proto.domain = node.domain;
    if (node.overload) proto.overload = node.overload;
    proto.input = node.inputs;
    proto.output = node.outputs;
    proto.attribute = this.#attributes(node.attributes, opaque?.attributes);
    return proto;
  }

  #function(definition: FunctionDefinition): FunctionProto {
    const opaque = definition.opaque as OpaqueFunction | undefined;
    const proto = restore(FunctionProtoSchema, opaque?.rest);
    proto.name = definition.name;
    proto.domain = definition.domain;
    if (definition.overload !== '') proto.overload = definition.overload;
    proto.input = definition.inputs;
    proto.output = definition.outputs;
    proto.attribute = definition.attributes;
    proto.attributeProto = this.#attributes(opaque?.defaults ?? new Map(), opaque?.defaultRests);
    proto.node = definition.nodes.map((node) => this.#node(node));
    proto.opsetImport = opsetImports(definition.opsetImports);
    return proto;
  }

  #attributes(
    attributes: ReadonlyMap<string, Attribute>,
    rests: ReadonlyMap<string, Leftovers> | undefined,
  ): AttributeProto[] {
    return Array.from(attributes, ([name, attribute]) => {
      const proto = restore(AttributeProtoSchema, rests?.get(name));
      proto.name = name;
      this.#setValue(proto, attribute);
      return proto;
    });
  }

  #setValue(proto: AttributeProto, attribute: Attribute): void {
    switch (attribute.kind) {
      case 'ref':
        proto.refAttrName = attribute.value;
        proto.type = attribute.type;
        return;
      case 'opaque':
        this.#setOpaque(proto, attribute.value as OpaqueAttribute);
        return;
      case 'int':
        proto.i = attribute.value;
        break;
      case 'float':
        proto.f = attribute.value;
        break;
      case 'string':
        proto.s = attribute.value;
        break;
      case 'tensor':
        proto.t = this.#tensor(attribute.value, '', false);
        break;
      case 'graph':
        proto.g = this.#graph(attribute.value);
        break;
      case 'ints':
        proto.ints = [...attribute.value];
        break;
      case 'floats':
        proto.floats = [...attribute.value];
        break;
      case 'strings':
        proto.strings = [...attribute.value];
        break;
      case 'tensors':
        proto.tensors = attribute.value.map((tensor) => this.#tensor(tensor, '', false));
        break;
      case 'graphs':
        proto.graphs = attribute.value.map((graph) => this.#graph(graph));
        break;
    }
    proto.type = ATTRIBUTE_TYPE[attribute.kind];
  }

  #setOpaque(proto: AttributeProto, value: OpaqueAttribute): void {
    if (value.kind === 'sparse') {
      const tensors = value.tensors.map((sparse) => this.#sparse(sparse));
      proto.type = value.list ? ATTRIBUTE_TYPE.sparseTensors : ATTRIBUTE_TYPE.sparseTensor;
      if (value.list) proto.sparseTensors = tensors;
      else if (tensors[0]) proto.sparseTensor = tensors[0];
      return;
    }
    proto.type = value.list ? ATTRIBUTE_TYPE.typeProtos : ATTRIBUTE_TYPE.typeProto;
    if (value.list) proto.typeProtos = [...value.types];
    else if (value.types[0]) proto.tp = value.types[0];
  }

  #sparse(sparse: SparseTensor): SparseTensorProto {
    const proto = restore(SparseTensorProtoSchema, sparse.rest);
    proto.values = this.#tensor(sparse.values, sparse.name, false);
    proto.indices = this.#tensor(sparse.indices, '', false);
    proto.dims = [...sparse.dims];
    return proto;
  }

  #tensor(tensor: Tensor, name: string, canBeExternal: boolean): TensorProto {
    const proto = restore(TensorProtoSchema, tensor.opaque as Leftovers | undefined);
    proto.dims = tensor.shape.map(BigInt);
    proto.dataType = numberOfDtype(tensor.dtype);
    if (name !== '') proto.name = name;
    if (tensor.strings !== undefined) proto.stringData = [...tensor.strings];
    else this.#placement.place(proto, tensor.data, canBeExternal);
    return proto;
  }
}

function opsetImports(imports: ReadonlyMap<string, number>): OperatorSetIdProto[] {
  return Array.from(imports, ([domain, version]) =>
    create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
  );
}
