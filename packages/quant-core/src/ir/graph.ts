import type { Attribute } from './attribute.js';
import type { DataType } from './dtype.js';
import type { Tensor } from './tensor.js';

/** A dimension: its size, its symbolic name, or null when nothing is known. */
export type Dimension = number | string | null;

/** A value's type. `dtype` is 'undefined' and `shape` null where the model does not say; `opaque` keeps non-tensor types. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly Dimension[] | null;
  readonly opaque?: unknown;
}

/** One operation. Values are named; '' stands for an optional input or output that is left out. */
export interface Node {
  /** Unique among the nodes of its model once read; nodes without a name in the file get one (see `onnx/read`). */
  name: string;
  opType: string;
  /** '' for the standard domain. */
  domain: string;
  /** Which of several model-local functions of the same name the node calls; left out for the one without. */
  overload?: string;
  inputs: string[];
  outputs: string[];
  attributes: Map<string, Attribute>;
  /** What the file carries besides, kept for the way back; only onnx/ looks inside. */
  opaque?: unknown;
}

/**
 * A graph, mutable. Nodes are in topological order. Subgraphs live in the attributes of their nodes and may use values
 * of every enclosing graph by name.
 */
export interface Graph {
  name: string;
  nodes: Node[];
  inputs: ValueInfo[];
  outputs: ValueInfo[];
  /** Constant tensors by value name. A name may also be a graph input, which then is an overridable default. */
  initializers: Map<string, Tensor>;
  /** Types of inner values, as far as the file or an observation tells. */
  valueInfo: Map<string, ValueInfo>;
  opaque?: unknown;
}

/** A model-local function; its nodes use the function's own opset imports. */
export interface FunctionDefinition {
  name: string;
  domain: string;
  overload: string;
  inputs: string[];
  outputs: string[];
  attributes: string[];
  nodes: Node[];
  opsetImports: Map<string, number>;
  opaque?: unknown;
}

/** A whole model. */
export interface Model {
  irVersion: number;
  /** Version by domain; '' is the standard one. */
  opsetImports: Map<string, number>;
  graph: Graph;
  functions: FunctionDefinition[];
  producer: string | null;
  opaque?: unknown;
}
