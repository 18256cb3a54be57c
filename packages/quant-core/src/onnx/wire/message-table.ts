import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProtoSchema } from './onnx_pb.js';

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_FIXED32 = 5;

/** What a walk over the wire format must know of a field. */
export interface FieldRule {
  readonly name: string;
  /** How one value is encoded. */
  readonly wireType: number;
  /** Set for fields that hold a message. */
  readonly message: MessageTable | null;
  /** Fewest bytes of an element when the list is packed; 0 when the field cannot be packed. */
  readonly packedElementBytes: number;
  /** Whether the field is a name, which messages quote. Free text is not. */
  readonly isName: boolean;
  /** Whether the field holds tensor data, which stays in the file when it is large. */
  readonly bulk: boolean;
}

/** The fields of one message type by number. */
export interface MessageTable {
  readonly typeName: string;
  readonly fields: ReadonlyMap<number, FieldRule>;
  /** Whether a TensorProto can lie anywhere inside. */
  readonly holdsTensors: boolean;
}

const BULK_FIELDS = new Set(['raw_data', 'float_data', 'int32_data', 'int64_data', 'double_data', 'uint64_data']);

/** Number of the field that stands for tensor data elsewhere; see onnx.proto. */
export const WINDOW_FIELD = TensorProtoSchema.field.window.number;

const tables = new Map<DescMessage, MessageTable>();

/** The table of ModelProto, from which all others are reachable. */
export const MODEL_TABLE = tableOf(ModelProtoSchema);

function tableOf(message: DescMessage): MessageTable {
  const known = tables.get(message);
  if (known !== undefined) return known;
  const fields = new Map<number, FieldRule>();
  const table = { typeName: message.name, fields, holdsTensors: reaches(message, TensorProtoSchema, new Set()) };
  tables.set(message, table);
  for (const field of message.fields) {
    if (message === TensorProtoSchema && field.number === WINDOW_FIELD) continue;
    fields.set(field.number, ruleOf(field, message === TensorProtoSchema));
  }
  return table;
}

function ruleOf(field: DescField, inTensor: boolean): FieldRule {
  const bulk = inTensor && BULK_FIELDS.has(field.name);
  const isName = field.scalar === ScalarType.STRING && field.name !== 'value';
  if (field.message !== undefined) {
    return {
      name: field.name,
      wireType: WIRE_BYTES,
      message: tableOf(field.message),
      packedElementBytes: 0,
      isName,
      bulk,
    };
  }
  const wireType = wireTypeOf(field.scalar!);
  const packable = field.fieldKind === 'list' && wireType !== WIRE_BYTES;
  const elementBytes = wireType === WIRE_FIXED64 ? 8 : wireType === WIRE_FIXED32 ? 4 : 1;
  return { name: field.name, wireType, message: null, packedElementBytes: packable ? elementBytes : 0, isName, bulk };
}

function wireTypeOf(scalar: ScalarType): number {
  if (scalar === ScalarType.FLOAT) return WIRE_FIXED32;
  if (scalar === ScalarType.DOUBLE) return WIRE_FIXED64;
  return scalar === ScalarType.STRING || scalar === ScalarType.BYTES ? WIRE_BYTES : WIRE_VARINT;
}

function reaches(from: DescMessage, to: DescMessage, seen: Set<DescMessage>): boolean {
  if (from === to) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  return from.fields.some((field) => field.message !== undefined && reaches(field.message, to, seen));
}
