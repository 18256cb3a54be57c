import { TritforgeError } from '@tritforge/contracts';
import type { Dimension, ValueInfo } from '../../ir/index.js';
import { dataTypeOf } from '../wire/data-types.js';
import { leftovers } from '../wire/leftovers.js';
import type { TensorShapeProto, TypeProto, ValueInfoProto } from '../wire/onnx_pb.js';
import type { OpaqueValue } from '../wire/opaque.js';

const CONSUMED = new Set(['name', 'type']);

/** Turns a ValueInfoProto into the graph's form. @throws TritforgeError MODEL_UNSUPPORTED_DTYPE, MODEL_INVALID */
export function readValueInfo(proto: ValueInfoProto): ValueInfo {
  const name = proto.name ?? '';
  const opaque: OpaqueValue = { type: proto.type, rest: leftovers(proto, CONSUMED) };
  return { name, ...readTensorType(proto.type, name), ...(opaque.type || opaque.rest ? { opaque } : {}) };
}

/** Element type and shape of a tensor type; unknown for sequences, maps and the like. */
export function readTensorType(type: TypeProto | undefined, name: string): Pick<ValueInfo, 'dtype' | 'shape'> {
  if (type?.value.case !== 'tensorType') return { dtype: 'undefined', shape: null };
  const { elemType, shape } = type.value.value;
  return { dtype: dataTypeOf(elemType ?? 0, `Value ${name}`), shape: readShape(shape, name) };
}

function readShape(shape: TensorShapeProto | undefined, name: string): Dimension[] | null {
  if (shape === undefined) return null;
  return shape.dim.map(({ value }) => {
    if (value.case === 'dimParam') return value.value === '' ? null : value.value;
    // Exporters write negative sizes for dimensions that they do not know.
    if (value.case === undefined || value.value < 0n) return null;
    if (value.value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new TritforgeError('MODEL_TENSOR_TOO_LARGE', `Value ${name} has a dimension of ${value.value}`, {
        field: name,
        remediation: 'Declare the true shape, or a symbolic dimension.',
      });
    }
    return Number(value.value);
  });
}
