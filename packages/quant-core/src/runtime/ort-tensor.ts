import type { Tensor } from 'onnxruntime-node';
import { type DataType, elementCount } from '../ir/index.js';
import type { HostTensor } from './runtime.js';

/** The part of onnxruntime-node's module that conversion needs; passed in because the module is loaded late. */
export interface TensorConstructor {
  new (type: Tensor.Type, data: Tensor.DataType, dims: readonly number[]): Tensor;
}

/** Types that onnxruntime-node can carry between JavaScript and the engine. */
const TRANSFERABLE: ReadonlySet<DataType> = new Set<DataType>([
  'float32',
  'float64',
  'float16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'string',
]);

/**
 * The engine's view of a tensor. The bytes are the same, unless threads share them: the engine takes no such memory.
 * @throws TypeError when the engine cannot take the dtype or the data does not fill the shape
 */
export function toOrtTensor(tensor: HostTensor, Constructor: TensorConstructor): Tensor {
  if (!TRANSFERABLE.has(tensor.dtype))
    throw new TypeError(`onnxruntime-node cannot take tensors of type ${tensor.dtype}`);
  const expected = elementCount(tensor.shape);
  if (tensor.data.length !== expected) {
    throw new TypeError(
      `the data has ${tensor.data.length} elements, the shape [${tensor.shape}] asks for ${expected}`,
    );
  }
  const data = isShared(tensor.data) ? tensor.data.slice() : tensor.data;
  const made = new Constructor(tensor.dtype as Tensor.Type, data as Tensor.DataType, tensor.shape);
  // Where JavaScript has Float16Array (Node 24), the constructor makes one of the halves, and the engine reads nothing of it.
  if (tensor.dtype === 'float16') Object.defineProperty(made, 'data', { value: data });
  return made;
}

function isShared(data: HostTensor['data']): boolean {
  return ArrayBuffer.isView(data) && data.buffer instanceof SharedArrayBuffer;
}

/** A tensor of the engine as the rest of the program sees it. The bytes are shared, not copied. */
export function fromOrtTensor(tensor: Tensor): HostTensor {
  const { data } = tensor;
  const isView = tensor.type === 'float16' && !(data instanceof Uint16Array);
  const plain = isView ? halvesOf(data as unknown as ArrayBufferView & { length: number }) : data;
  return { dtype: tensor.type as DataType, shape: tensor.dims, data: plain as HostTensor['data'] };
}

function halvesOf(array: ArrayBufferView & { length: number }): Uint16Array {
  return new Uint16Array(array.buffer, array.byteOffset, array.length);
}
