import { dirname, resolve } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { TritforgeError } from '@tritforge/contracts';
import type { Model } from '../ir/index.js';
import { type ModelLimits, modelLimits } from './limits.js';
import { ExternalFiles } from './read/external-files.js';
import { GraphReader, readOpsetImports } from './read/graph-reader.js';
import { nameNodes } from './read/node-names.js';
import { TensorReader } from './read/read-tensor-proto.js';
import { notOnnx, skim } from './read/skim.js';
import { SourceFile } from './read/source-file.js';
import { leftovers } from './wire/leftovers.js';
import { type ModelProto, ModelProtoSchema } from './wire/onnx_pb.js';
import type { OpaqueModel } from './wire/opaque.js';

const CONSUMED = new Set(['irVersion', 'opsetImport', 'producerName', 'graph', 'functions']);

/**
 * Reads a model. Tensors of 4 KiB and more stay in the file as windows, so that memory does not grow with the weights;
 * the file must stay unchanged while the model is in use. External data is looked for in the folder of the model only.
 * Nodes get unique names and topological order. What the graph types have no place for is kept for {@link writeModel}.
 *
 * @throws TritforgeError MODEL_NOT_ONNX, MODEL_TRUNCATED, MODEL_INVALID, MODEL_TENSOR_SIZE_MISMATCH,
 *   MODEL_TENSOR_TOO_LARGE, MODEL_UNSUPPORTED_DTYPE, MODEL_EXTERNAL_DATA_MISSING, MODEL_EXTERNAL_DATA_ESCAPES,
 *   MODEL_EXTERNAL_DATA_RANGE, MODEL_TOO_DEEP, MODEL_TOO_MANY_NODES, MODEL_TOO_COMPLEX
 * @example const model = await readModel('resnet.onnx'); model.graph.nodes.length
 */
export async function readModel(path: string, options: { limits?: Partial<ModelLimits> } = {}): Promise<Model> {
  const limits = modelLimits(options.limits);
  const absolutePath = resolve(path);
  const { skeleton, windows } = await skim(absolutePath, limits);
  const proto = decode(skeleton);
  const file = new SourceFile(absolutePath);
  const external = new ExternalFiles(dirname(absolutePath));
  try {
    return convert(proto, new GraphReader(new TensorReader(file, external, windows, limits)));
  } finally {
    external.close();
    file.close();
  }
}

function decode(skeleton: Uint8Array): ModelProto {
  if (skeleton.byteLength === 0) throw notOnnx('it is empty');
  try {
    return fromBinary(ModelProtoSchema, skeleton);
  } catch (cause) {
    throw new TritforgeError('MODEL_INVALID', 'The file has text that is not UTF-8 or a value that cannot be decoded', {
      remediation: 'The file is damaged; export or copy it again.',
      cause,
    });
  }
}

function convert(proto: ModelProto, reader: GraphReader): Model {
  if (proto.graph === undefined) throw notOnnx('it has no graph');
  if (proto.irVersion === undefined) throw notOnnx('it has no IR version');
  const opaque: OpaqueModel = { rest: leftovers(proto, CONSUMED) };
  const model: Model = {
    irVersion: Number(proto.irVersion),
    opsetImports: readOpsetImports(proto.opsetImport),
    graph: reader.graph(proto.graph),
    functions: proto.functions.map((definition) => reader.function(definition)),
    producer: proto.producerName || null,
    ...(opaque.rest ? { opaque } : {}),
  };
  nameNodes(model);
  return model;
}
