/**
 * What a model may ask of the machine before anything is executed. Hostile files are stopped by these, not by the
 * memory or the stack running out.
 */
export interface ModelLimits {
  /** Bytes of everything but bulk tensor data: names, nodes, shapes, small constants. */
  readonly maxSkeletonBytes: number;
  /** Nesting of protobuf messages; a subgraph costs three levels. */
  readonly maxMessageDepth: number;
  /** Protobuf messages in all: nodes, attributes, dimensions, … */
  readonly maxMessages: number;
  /** Protobuf fields in all, where every element of a list counts. */
  readonly maxFields: number;
  /** Bytes of one name of a node, value, operator or dimension. */
  readonly maxNameBytes: number;
  readonly maxNodes: number;
  /** Tensors in the file: initializers and constants in attributes. */
  readonly maxTensors: number;
  /** Bytes of one constant tensor. */
  readonly maxTensorBytes: number;
  /** Bytes of one computed value or input whose size the file alone decides. */
  readonly maxValueBytes: number;
  /** Bytes of all tensors whose encoding must be unpacked into memory while reading (int32_data, int64_data, …). */
  readonly maxUnpackedBytes: number;
  /** Nodes once every model-local function is expanded at each of its calls. */
  readonly maxExpandedNodes: number;
  /** Functions that call functions. */
  readonly maxFunctionDepth: number;
  /** Subgraphs within subgraphs. */
  readonly maxSubgraphDepth: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_MODEL_LIMITS: ModelLimits = {
  maxSkeletonBytes: 256 * MIB,
  maxMessageDepth: 64,
  maxMessages: 2_000_000,
  maxFields: 16_000_000,
  maxNameBytes: 8192,
  maxNodes: 200_000,
  maxTensors: 200_000,
  maxTensorBytes: 16 * 1024 * MIB,
  maxValueBytes: 4 * 1024 * MIB,
  maxUnpackedBytes: 512 * MIB,
  maxExpandedNodes: 200_000,
  maxFunctionDepth: 16,
  maxSubgraphDepth: 16,
};

/** The given limits, and the defaults for those left out. */
export function modelLimits(limits: Partial<ModelLimits> = {}): ModelLimits {
  return { ...DEFAULT_MODEL_LIMITS, ...limits };
}
