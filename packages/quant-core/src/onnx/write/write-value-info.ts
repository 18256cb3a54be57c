import { create } from '@bufbuild/protobuf';
import { type Dimension, numberOfDtype, type ValueInfo } from '../../ir/index.js';
import { readTensorType } from '../read/read-value-info.js';

import { restore } from '../wire/leftovers.js';
import {
  type TensorShapeProto_Dimension,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  type TypeProto,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from '../wire/onnx_pb.js';
import type { OpaqueValue } from '../wire/opaque.js';

/** Turns a value's type into its message. A type that did not change since it was read is written back as it came. */
export function writeValueInfo(info: ValueInfo): ValueInfoProto {
  const opaque = info.opaque as OpaqueValue | undefined;
  const proto = restore(ValueInfoProtoSchema, opaque?.rest);
  proto.name = info.name;
  const type = opaque?.type !== undefined && says(opaque.type, info) ? opaque.type : tensorType(info);
  if (type !== undefined) proto.type = type;
  return proto;
}

function says(type: TypeProto, info: ValueInfo): boolean {
  const { dtype, shape } = readTensorType(type, info.name);
  return dtype === info.dtype && JSON.stringify(shape) === JSON.stringify(info.shape);
}

function tensorType(info: ValueInfo): TypeProto | undefined {
  if (info.dtype === 'undefined') return undefined;
  const tensor = create(TypeProto_TensorSchema, { elemType: numberOfDtype(info.dtype) });
  if (info.shape !== null) {
    tensor.shape = create(TensorShapeProtoSchema, { dim: info.shape.map(dimension) });
  }
  return create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } });
}

function dimension(size: Dimension): TensorShapeProto_Dimension {
  if (size === null) return create(TensorShapeProto_DimensionSchema);
  return create(TensorShapeProto_DimensionSchema, {
    value: typeof size === 'string' ? { case: 'dimParam', value: size } : { case: 'dimValue', value: BigInt(size) },
  });
}
