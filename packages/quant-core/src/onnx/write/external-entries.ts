import { create } from '@bufbuild/protobuf';
import { StringStringEntryProtoSchema, type TensorProto } from '../wire/onnx_pb.js';

/** TensorProto.DataLocation.EXTERNAL. */
const LOCATION_EXTERNAL = 1;

/** States in the message that the tensor's bytes are in another file. */
export function setExternalData(
  proto: TensorProto,
  place: { readonly location: string; readonly offset: number; readonly length: number },
): void {
  proto.dataLocation = LOCATION_EXTERNAL;
  proto.externalData = Object.entries(place).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value: String(value) }),
  );
}
