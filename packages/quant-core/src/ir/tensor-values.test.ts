import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { bfloat16ToNumber, float16ToNumber, numberToFloat16 } from './float-formats.js';
import { scalarInt64, tensorFromBytes, tensorFromFloats, tensorFromInt8, tensorFromInt64 } from './tensor-builders.js';
import { readTensor, tensorChunks } from './tensor-bytes.js';
import { intsInMemory, readFloats, readInts } from './tensor-values.js';

test('every finite half-precision number survives the way to a number and back', () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = float16ToNumber(bits);
    if (!Number.isNaN(value)) assert.equal(numberToFloat16(value), bits, `0x${bits.toString(16)}`);
  }
});

test('half precision rounds to nearest even', () => {
  const cases: readonly (readonly [number, number])[] = [
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [1 + 2 ** -11 + 2 ** -20, 0x3c01],
    [2 - 2 ** -12, 0x4000],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [2 ** -25, 0],
    [2 ** -25 * 1.01, 1],
    [-0, 0x8000],
    [Number.NEGATIVE_INFINITY, 0xfc00],
  ];
  for (const [value, bits] of cases) assert.equal(numberToFloat16(value), bits, String(value));
});

test('bfloat16 is the upper half of float32', () => {
  assert.equal(bfloat16ToNumber(0x3fc0), 1.5);
  assert.equal(bfloat16ToNumber(0xff80), Number.NEGATIVE_INFINITY);
  assert.ok(Number.isNaN(bfloat16ToNumber(0x7fc0)));
});

test('floats of every width are read as float32, at unaligned places too', async () => {
  const bytes = new Uint8Array(17);
  new DataView(bytes.buffer).setFloat32(1, 0.1, true);
  assert.deepEqual(await readFloats(tensorFromBytes('float32', [1], bytes.subarray(1, 5))), Float32Array.of(0.1));
  new DataView(bytes.buffer).setFloat64(1, 0.1, true);
  assert.deepEqual(await readFloats(tensorFromBytes('float64', [1], bytes.subarray(1, 9))), Float32Array.of(0.1));
  const halves = tensorFromBytes('float16', [2], Uint8Array.of(0, 0x3c, 0, 0xc0));
  assert.deepEqual(await readFloats(halves), Float32Array.of(1, -2));
});

test('packed integers start in the lowest bits', async () => {
  const bytes = Uint8Array.of(0b1110_0100, 0b0000_0001);
  assert.deepEqual(await readInts(tensorFromBytes('uint2', [5], bytes)), [0n, 1n, 2n, 3n, 1n]);
  assert.deepEqual(await readInts(tensorFromBytes('int2', [5], bytes)), [0n, 1n, -2n, -1n, 1n]);
  assert.deepEqual(await readInts(tensorFromBytes('uint4', [3], bytes)), [4n, 14n, 1n]);
  assert.deepEqual(await readInts(tensorFromBytes('int4', [3], bytes)), [4n, -2n, 1n]);
});

test('integers keep their 64 bits', async () => {
  assert.deepEqual(await readInts(scalarInt64(-(2n ** 63n))), [-(2n ** 63n)]);
  assert.deepEqual(intsInMemory(tensorFromInt64([2], [3, -4])), [3n, -4n]);
  assert.equal(intsInMemory(tensorFromFloats([1], new Float32Array(1))), null);
});

test('reading a tensor as what it is not is refused', async () => {
  await assert.rejects(readFloats(tensorFromInt8([1], new Int8Array(1))), { code: 'MODEL_UNSUPPORTED_DTYPE' });
  await assert.rejects(readInts(tensorFromFloats([1], new Float32Array(1))), { code: 'MODEL_UNSUPPORTED_DTYPE' });
});

test('a tensor of another size than its shape cannot be made', () => {
  assert.throws(() => tensorFromFloats([3], new Float32Array(2)), RangeError);
});

test('a window of a file is read whole, in pieces, and never beyond the end', async (t) => {
  const path = join(temporaryFolder(t), 'data');
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 256);
  writeFileSync(path, bytes);
  const tensor = (byteLength: number) =>
    ({ dtype: 'uint8', shape: [byteLength], data: { kind: 'file', path, offset: 100, byteLength } }) as const;
  assert.deepEqual(await readTensor(tensor(700)), bytes.subarray(100, 800));
  const pieces: number[][] = [];
  for await (const piece of tensorChunks(tensor(700), 300)) pieces.push([...piece]);
  assert.deepEqual(
    pieces.map((piece) => piece.length),
    [300, 300, 100],
  );
  assert.deepEqual(pieces.flat(), [...bytes.subarray(100, 800)]);
  await assert.rejects(readTensor(tensor(901)), { code: 'MODEL_TRUNCATED' });
});
