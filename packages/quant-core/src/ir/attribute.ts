import type { Graph } from './graph.js';
import type { Tensor } from './tensor.js';

/** An attribute of a node. `ref` names an attribute of the enclosing function instead of a value. */
export type Attribute =
  | { readonly kind: 'int'; readonly value: bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: Uint8Array }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'ints'; readonly value: readonly bigint[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly Uint8Array[] }
  | { readonly kind: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly kind: 'graphs'; readonly value: readonly Graph[] }
  | { readonly kind: 'ref'; readonly value: string; readonly type: number }
  /** Kept as it came, such as sparse tensors and type protos; only onnx/ looks inside. */
  | { readonly kind: 'opaque'; readonly value: unknown };
