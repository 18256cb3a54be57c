import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostTensor } from '../runtime/runtime.js';
import { hostBytes, hostTensor, isStorable } from './host-bytes.js';

const TENSORS: readonly HostTensor[] = [
  { dtype: 'float32', shape: [2], data: Float32Array.of(-0, Number.NaN) },
  { dtype: 'float64', shape: [1, 1], data: Float64Array.of(1e300) },
  { dtype: 'float16', shape: [3], data: Uint16Array.of(1, 2, 65535) },
  { dtype: 'int64', shape: [], data: BigInt64Array.of(-(2n ** 63n)) },
  { dtype: 'uint64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
  { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
  { dtype: 'int8', shape: [0, 4], data: new Int8Array() },
  { dtype: 'string', shape: [2], data: ['ä', '"\n'] },
];

test('tensors come back from their bytes, wherever those lie', () => {
  for (const tensor of TENSORS) {
    const bytes = hostBytes(tensor);
    const moved = new Uint8Array(bytes.byteLength + 1);
    moved.set(bytes, 1);
    assert.deepEqual(hostTensor(tensor.dtype, tensor.shape, bytes.slice()), tensor);
    assert.deepEqual(hostTensor(tensor.dtype, tensor.shape, moved.subarray(1)), tensor);
  }
});

test('types without a form in memory are told', () => {
  assert.equal(isStorable('bfloat16'), false);
  assert.equal(isStorable('undefined'), false);
  assert.ok(TENSORS.every(({ dtype }) => isStorable(dtype)));
  assert.throws(() => hostTensor('int4', [2], new Uint8Array(1)), /int4/);
});
