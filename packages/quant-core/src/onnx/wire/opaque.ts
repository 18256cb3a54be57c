import type { Attribute, Tensor } from '../../ir/index.js';
import type { Leftovers } from './leftovers.js';
import type { TypeProto } from './onnx_pb.js';

/** What stands behind the `opaque` members of the graph types. Only onnx/ makes and reads these. */

/** A tensor that stores only some of its elements. */
export interface SparseTensor {
  /** Name of the initializer; '' in attributes. */
  readonly name: string;
  readonly values: Tensor;
  readonly indices: Tensor;
  readonly dims: readonly bigint[];
  readonly rest: Leftovers | undefined;
}

/** An attribute value that the graph types have no kind for. */
export type OpaqueAttribute =
  | { readonly kind: 'sparse'; readonly list: boolean; readonly tensors: readonly SparseTensor[] }
  | { readonly kind: 'types'; readonly list: boolean; readonly types: readonly TypeProto[] };

export interface OpaqueNode {
  readonly rest: Leftovers | undefined;
  /** Leftovers of attributes by name. */
  readonly attributes: ReadonlyMap<string, Leftovers>;
}

export interface OpaqueGraph {
  readonly rest: Leftovers | undefined;
  readonly sparseInitializers: readonly SparseTensor[];
}

export interface OpaqueFunction {
  readonly rest: Leftovers | undefined;
  /** Attributes with a default, by name. */
  readonly defaults: ReadonlyMap<string, Attribute>;
  readonly defaultRests: ReadonlyMap<string, Leftovers>;
}

export interface OpaqueModel {
  readonly rest: Leftovers | undefined;
}

/** A value's type as the file has it, with denotations and non-tensor types. */
export interface OpaqueValue {
  readonly type: TypeProto | undefined;
  readonly rest: Leftovers | undefined;
}
