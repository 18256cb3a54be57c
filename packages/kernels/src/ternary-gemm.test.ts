import assert from 'node:assert/strict';
import { before, describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fallbackKernels } from './fallback-kernels.js';
import { kernelInfo, kernels, type ScaledTernaryGemm } from './index.js';
import { loadNativeKernels } from './native-kernels.js';
import type { Kernels } from './ternary-gemm.js';

/** Mulberry32: a seeded generator of uint32. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x ^= x + Math.imul(x ^ (x >>> 7), 61 | x);
    return (x ^ (x >>> 14)) >>> 0;
  };
}

interface Case {
  readonly gemm: ScaledTernaryGemm;
  readonly codes: Int8Array;
}

function randomCase(rows: number, outputChannels: number, inputChannels: number, groupSize: number): Case {
  const random = generator(rows * 7919 + outputChannels * 104729 + inputChannels * 1299709 + groupSize);
  const bytes = (length: number) => Uint8Array.from({ length }, () => random() & 255);
  const codes = Int8Array.from({ length: outputChannels * inputChannels }, () => (random() % 3) - 1);
  const packedCodes = new Uint8Array(Math.ceil(codes.length / 4));
  codes.forEach((code, i) => {
    packedCodes[i >> 2]! |= (code & 3) << (2 * (i & 3));
  });
  const gemm = {
    rows,
    outputChannels,
    inputChannels,
    groupSize,
    zeroPoint: random() & 255,
    activations: bytes(rows * inputChannels),
    packedCodes,
    groupCodes: bytes(outputChannels * Math.ceil(inputChannels / groupSize)),
    inputScale: 0.02,
    channelScales: Float32Array.from({ length: outputChannels }, () => 1e-4 + (random() & 255) * 1e-5),
  };
  return { gemm, codes };
}

/** The formula written out. */
function expectedResult({ gemm, codes }: Case): Int32Array {
  const { rows, outputChannels, inputChannels, groupSize, zeroPoint, activations, groupCodes } = gemm;
  const groups = Math.ceil(inputChannels / groupSize);
  return Int32Array.from({ length: rows * outputChannels }, (_, i) => {
    const m = Math.floor(i / outputChannels);
    const n = i % outputChannels;
    let sum = 0;
    for (let k = 0; k < inputChannels; k++) {
      const weight = codes[n * inputChannels + k]! * groupCodes[n * groups + Math.floor(k / groupSize)]!;
      sum += (activations[m * inputChannels + k]! - zeroPoint) * weight;
    }
    return sum;
  });
}

type Fields = Record<keyof ScaledTernaryGemm, unknown>;

/** A good call with some fields made wrong, and the error it must give. */
const INVALID: readonly [Partial<Fields>, typeof TypeError | typeof RangeError, RegExp][] = [
  [{ rows: '3' }, TypeError, /^rows must be a number$/],
  [{ rows: 3n }, TypeError, /^rows must be a number$/],
  [{ rows: undefined }, TypeError, /^rows must be a number$/],
  [{ rows: -1 }, RangeError, /^rows must be an integer from 0 to 2147483647, got -1$/],
  [{ outputChannels: 1.5 }, RangeError, /^outputChannels must be an integer .*, got 1.5$/],
  [{ inputChannels: Number.NaN }, RangeError, /^inputChannels must be an integer .*, got NaN$/],
  [{ inputChannels: 2 ** 31 }, RangeError, /^inputChannels .*, got 2147483648$/],
  [{ inputChannels: Number.POSITIVE_INFINITY }, RangeError, /^inputChannels .*, got Infinity$/],
  [{ groupSize: 0 }, RangeError, /^groupSize must be an integer from 1 to 2147483647, got 0$/],
  [{ zeroPoint: 256 }, RangeError, /^zeroPoint must be an integer from 0 to 255, got 256$/],
  [{ zeroPoint: null }, TypeError, /^zeroPoint must be a number$/],
  [{ rows: 2 ** 31 - 1, outputChannels: 2 ** 31 - 1, inputChannels: 0 }, RangeError, /^rows × outputChannels must be/],
  [{ rows: 2 ** 25 }, RangeError, /^activations must have 570425344 elements, got 51$/],
  [{ activations: new Int8Array(51) }, TypeError, /^activations must be a Uint8Array$/],
  [{ activations: new Uint8ClampedArray(51) }, TypeError, /^activations must be a Uint8Array$/],
  [{ activations: new ArrayBuffer(51) }, TypeError, /^activations must be a Uint8Array$/],
  [{ activations: null }, TypeError, /^activations must be a Uint8Array$/],
  [{ activations: new Uint8Array(50) }, RangeError, /^activations must have 51 elements, got 50$/],
  [{ packedCodes: new Uint8Array(23) }, RangeError, /^packedCodes must have 22 elements, got 23$/],
  [{ packedCodes: [0] }, TypeError, /^packedCodes must be a Uint8Array$/],
  [{ groupCodes: new Uint8Array(0) }, RangeError, /^groupCodes must have 25 elements, got 0$/],
  [{ groupCodes: new DataView(new ArrayBuffer(25)) }, TypeError, /^groupCodes must be a Uint8Array$/],
  [{ inputScale: '1' }, TypeError, /^inputScale must be a number$/],
  [{ inputScale: 0 }, RangeError, /^inputScale must be a positive float32, got 0$/],
  [{ inputScale: Number.NaN }, RangeError, /^inputScale must be a positive float32, got NaN$/],
  [{ inputScale: 1e40 }, RangeError, /^inputScale must be a positive float32, got 1e\+40$/],
  [{ channelScales: new Float64Array(5) }, TypeError, /^channelScales must be a Float32Array$/],
  [{ channelScales: new Float32Array(4) }, RangeError, /^channelScales must have 5 elements, got 4$/],
  [{ channelScales: Float32Array.of(1, 1, -1, 1, 1) }, RangeError, /^channelScales\[2\] must be positive and finite$/],
  [{ channelScales: Float32Array.of(1, Infinity, 1, 1, 1) }, RangeError, /^channelScales\[1\] must be positive/],
];

function describeKernels(name: string, load: () => Kernels | string): void {
  describe(`${name} kernels`, () => {
    let loaded: Kernels | string;
    before(() => {
      loaded = load();
    });
    // In place of kernels there is the reason why they could not be loaded, such as no compiler when they were to be built.
    const withKernels = (test: (implementation: Kernels) => void | Promise<void>) => (context: TestContext) =>
      typeof loaded === 'string' ? context.skip(loaded) : test(loaded);

    it(
      'compute the formula exactly at sizes around each boundary of bytes and groups',
      withKernels(async (implementation) => {
        for (const rows of [0, 1, 3]) {
          for (const outputChannels of [0, 1, 2, 5]) {
            for (const inputChannels of [0, 1, 3, 4, 5, 15, 16, 17, 63, 64, 65, 130]) {
              for (const groupSize of [1, 4, 7, 64]) {
                const example = randomCase(rows, outputChannels, inputChannels, groupSize);
                const expected = expectedResult(example);
                assert.deepEqual(await implementation.ternaryGemmInt32(example.gemm), expected);
                const { inputScale, channelScales } = example.gemm;
                assert.deepEqual(
                  await implementation.ternaryGemmFloat32(example.gemm),
                  Float32Array.from(
                    expected,
                    (sum, i) => sum * (Math.fround(inputScale) * channelScales[i % outputChannels]!),
                  ),
                );
              }
            }
          }
        }
      }),
    );

    it(
      'refuse every invalid argument by name before they return a promise',
      withKernels((implementation) => {
        const { gemm } = randomCase(3, 5, 17, 4);
        for (const [wrong, type, message] of INVALID) {
          const call = { ...gemm, ...wrong } as ScaledTernaryGemm;
          assert.throws(() => implementation.ternaryGemmFloat32(call), { name: type.name, message });
          if ('inputScale' in wrong || 'channelScales' in wrong) continue;
          assert.throws(() => implementation.ternaryGemmInt32(call), { name: type.name, message });
        }
      }),
    );

    it(
      'refuse a detached buffer',
      withKernels((implementation) => {
        const { gemm } = randomCase(3, 5, 17, 4);
        structuredClone(gemm.activations.buffer, { transfer: [gemm.activations.buffer as ArrayBuffer] });
        assert.throws(() => implementation.ternaryGemmInt32(gemm), RangeError);
      }),
    );

    it(
      'reject the code that is not ternary',
      withKernels(async (implementation) => {
        const { gemm } = randomCase(1, 3, 5, 4);
        gemm.packedCodes[2] = 0b10; // t[1][3]
        await assert.rejects(implementation.ternaryGemmInt32(gemm), {
          name: 'RangeError',
          message: 'packedCodes has the code 0b10 in the row of output channel 1',
        });
      }),
    );

    it(
      'reject sums that could leave int32 and compute the largest that cannot',
      withKernels(async (implementation) => {
        const gemmOf = (inputChannels: number) => ({
          rows: 1,
          outputChannels: 1,
          inputChannels,
          groupSize: inputChannels,
          zeroPoint: 0,
          activations: new Uint8Array(inputChannels).fill(255),
          packedCodes: new Uint8Array(Math.ceil(inputChannels / 4)).fill(0b01010101),
          groupCodes: Uint8Array.of(255),
        });
        assert.deepEqual(await implementation.ternaryGemmInt32(gemmOf(33025)), Int32Array.of(255 * 255 * 33025));
        await assert.rejects(implementation.ternaryGemmInt32(gemmOf(33026)), {
          name: 'RangeError',
          message: 'the int32 accumulator of output channel 0 could overflow',
        });
      }),
    );

    it(
      'compute on the arrays as they were at the call',
      withKernels(async (implementation) => {
        const example = randomCase(64, 64, 256, 64);
        const expected = expectedResult(example);
        const pending = implementation.ternaryGemmInt32(example.gemm);
        example.gemm.activations.fill(0);
        example.gemm.packedCodes.fill(0);
        example.gemm.groupCodes.fill(0);
        assert.deepEqual(await pending, expected);
      }),
    );

    it(
      'read views into larger and shared buffers',
      withKernels(async (implementation) => {
        const example = randomCase(3, 5, 17, 4);
        const shared = new Uint8Array(new SharedArrayBuffer(64), 5, 51);
        shared.set(example.gemm.activations);
        const packedCodes = new Uint8Array([9, 9, 9, ...example.gemm.packedCodes, 9]).subarray(3, 25);
        const result = await implementation.ternaryGemmInt32({ ...example.gemm, activations: shared, packedCodes });
        assert.deepEqual(result, expectedResult(example));
      }),
    );

    it(
      'leave the event loop to timers meanwhile',
      withKernels(async (implementation) => {
        const { gemm } = randomCase(256, 512, 1024, 64);
        let pending = true;
        const result = implementation.ternaryGemmInt32(gemm).finally(() => {
          pending = false;
        });
        await setTimeout(1);
        assert.ok(pending, 'the product ended before a timer of 1 ms fired');
        await result;
      }),
    );
  });
}

function nativeOrReason(): Kernels | string {
  try {
    return loadNativeKernels();
  } catch (error) {
    return (error as Error).message;
  }
}

describeKernels('native', nativeOrReason);
describeKernels('fallback', () => fallbackKernels);

describe('the kernels of the process', () => {
  it('are the native ones where those load, and say why not elsewhere', () => {
    const native = nativeOrReason();
    const expected =
      typeof native === 'string'
        ? { implementation: 'fallback', reason: native }
        : { implementation: 'native', reason: null };
    assert.deepEqual(kernelInfo(), expected);
    assert.equal(kernels() === fallbackKernels, typeof native === 'string');
  });
});
