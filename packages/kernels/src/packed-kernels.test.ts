import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { type IntegerWeights, type Isa, kernelInfo, type Layout, type PackedKernels, packedKernels } from './index.js';

const info = kernelInfo();
const skip = info.implementation === 'fallback' && (info.reason ?? true);
const native = (): PackedKernels => packedKernels();

/** xorshift32: tests must not depend on luck. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

function randomBytes(random: () => number, length: number, maximum = 255): Uint8Array {
  return Uint8Array.from({ length }, () => random() % (maximum + 1));
}

/** Ternary weights, and the same as int8 in [OC, depth, kH, kW]. */
function ternary(
  random: () => number,
  outputChannels: number,
  depth: number,
  kernel: [number, number],
  groupSize: number,
) {
  const taps = kernel[0] * kernel[1];
  const count = outputChannels * depth * taps;
  const trits = Int8Array.from({ length: count }, () => (random() % 3) - 1);
  const codes = new Uint8Array(Math.ceil(count / 4));
  trits.forEach((trit, i) => {
    codes[i >> 2]! |= (trit & 3) << ((i % 4) * 2);
  });
  const groups = Math.ceil(depth / groupSize);
  const groupCodes = randomBytes(random, outputChannels * groups * taps, 64);
  const values = trits.map((trit, i) => {
    const [tap, channel, oc] = [i % taps, Math.floor(i / taps) % depth, Math.floor(i / taps / depth)];
    return trit * groupCodes[(oc * groups + Math.floor(channel / groupSize)) * taps + tap]!;
  });
  const weights: IntegerWeights = { kind: 'ternary', outputChannels, depth, kernel, groupSize, codes, groupCodes };
  return { weights, values };
}

interface Image {
  readonly input: Uint8Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly zeroPoint: number;
}

/** The convolution as the formula has it, same padding, stride 1. */
function convolved(image: Image, values: Int8Array, outputChannels: number, [kH, kW]: [number, number]): Int32Array {
  const { height, width, channels, zeroPoint } = image;
  const sums = new Int32Array(height * width * outputChannels);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let oc = 0; oc < outputChannels; oc++)
        for (let ky = 0; ky < kH; ky++)
          for (let kx = 0; kx < kW; kx++) {
            const [iy, ix] = [y + ky - (kH >> 1), x + kx - (kW >> 1)];
            if (iy < 0 || ix < 0 || iy >= height || ix >= width) continue;
            for (let c = 0; c < channels; c++) {
              const code = image.input[(iy * width + ix) * channels + c]! - zeroPoint;
              sums[(y * width + x) * outputChannels + oc]! += code * values[((oc * channels + c) * kH + ky) * kW + kx]!;
            }
          }
  return sums;
}

const KERNEL: [number, number] = [3, 3];

function smallCase(maxCode = 255) {
  const random = seeded(7);
  const [height, width, channels, outputChannels] = [7, 9, 48, 70];
  const image: Image = {
    input: randomBytes(random, height * width * channels, maxCode),
    height,
    width,
    channels,
    zeroPoint: 5,
  };
  const { weights, values } = ternary(random, outputChannels, channels, KERNEL, 32);
  return { image, weights, sums: convolved(image, values, outputChannels, KERNEL), outputChannels };
}

describe('packed kernels', { skip }, () => {
  for (const maxCode of [15, 255]) {
    for (const isa of skip ? [] : native().cpuFeatures().runnable) {
      it(`convolve ternary weights exactly on ${isa} with codes up to ${maxCode}, and say what ran`, async () => {
        const { image, weights, sums } = smallCase(maxCode);
        const packed = await native().packWeights(weights, { isa, maxCode });
        const convolution = { ...image, maxCode, pads: [1, 1, 1, 1] as const, output: { kind: 's32' } as const };
        const { values, kernel } = await native().convolve(packed, convolution, { isa });
        assert.deepEqual(values, sums);
        assert.match(kernel, new RegExp(`${packed.layout}.*__${isa.replace('-', '_')}`));
      });
    }
  }

  it('give the same bytes on one thread and on several', async () => {
    const { image, weights, outputChannels } = smallCase();
    const packed = await native().packWeights(weights);
    const output = { kind: 'u8', zeroPoint: 3, multiplier: new Float32Array(outputChannels).fill(0.001) } as const;
    const run = (threads: number) => native().convolve(packed, { ...image, pads: [1, 1, 1, 1], output }, { threads });
    const [one, three] = [await run(1), await run(3)];
    assert.deepEqual(three.values, one.values);
    assert.ok(new Set(one.values).size > 16);
  });

  it('scale and round sums as the formulas say', async () => {
    const { image, weights, sums, outputChannels } = smallCase();
    const multiplier = Float32Array.from({ length: outputChannels }, (_, i) => 0.0004 * (i + 1));
    const bias = Int32Array.from({ length: outputChannels }, (_, i) => 100 * i - 3000);
    const packed = await native().packWeights(weights);
    const common = { ...image, pads: [1, 1, 1, 1] as const, bias };
    const scaled = sums.map((sum, i) => sum + bias[i % outputChannels]!);
    const product = (i: number) => Math.fround(Math.fround(scaled[i]!) * multiplier[i % outputChannels]!);
    const floats = await native().convolve(packed, { ...common, output: { kind: 'f32', multiplier } });
    assert.deepEqual(
      floats.values,
      Float32Array.from(scaled, (_, i) => product(i)),
    );
    const codes = await native().convolve(packed, {
      ...common,
      output: { kind: 'u8', multiplier, zeroPoint: 7, maxCode: 200 },
    });
    const expected = Uint8Array.from(scaled, (_, i) => Math.min(200, Math.max(0, roundHalfEven(product(i)) + 7)));
    assert.deepEqual(codes.values, expected);
  });

  it('can be written down and read back, and a changed byte is noticed', async () => {
    const { image, weights, sums } = smallCase();
    const packed = await native().packWeights(weights);
    const bytes = native().packedBytes(packed);
    assert.equal(bytes.length, packed.byteLength);
    const opened = native().openPackedWeights(bytes);
    const { values } = await native().convolve(opened, { ...image, pads: [1, 1, 1, 1], output: { kind: 's32' } });
    assert.deepEqual(values, sums);
    for (const at of [0, 5, 6, 8, 20, 40, 70, bytes.length - 1]) {
      const damaged = Uint8Array.from(bytes);
      damaged[at]! ^= 1;
      assert.throws(
        () => native().openPackedWeights(damaged),
        { name: 'RangeError', message: /damaged/ },
        `byte ${at}`,
      );
    }
    assert.throws(() => native().openPackedWeights(bytes.subarray(0, -1)), /damaged/);
  });

  it('multiply rows of floats with dynamic quantization', async () => {
    const random = seeded(3);
    const [rows, depth, outputChannels] = [2, 300, 40];
    const { weights, values } = ternary(random, outputChannels, depth, [1, 1], 64);
    const x = Float32Array.from({ length: rows * depth }, () => (random() % 2001) / 1000 - 1);
    const channelScales = Float32Array.from({ length: outputChannels }, (_, i) => 0.01 + i / 1000);
    const bias = Float32Array.from({ length: outputChannels }, (_, i) => i - 20);
    const packed = await native().packWeights(weights, { layout: 'gemv2' });
    const result = await native().dynamicMatmul(packed, { rows, x, channelScales, bias });
    for (let m = 0; m < rows; m++) {
      const row = x.subarray(m * depth, (m + 1) * depth);
      const scale = row.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127;
      for (let n = 0; n < outputChannels; n++) {
        let sum = 0;
        for (let k = 0; k < depth; k++) sum += roundHalfEven(row[k]! / scale) * values[n * depth + k]!;
        const exact = sum * scale * channelScales[n]! + bias[n]!;
        // A code beside a rounding boundary may be the next one: of one input times the largest weight.
        const tolerance = 1e-5 * Math.abs(exact) + 2 * 64 * scale * channelScales[n]!;
        assert.ok(Math.abs(result.values[m * outputChannels + n]! - exact) <= tolerance, `row ${m}, output ${n}`);
      }
    }
  });

  it('refuse what does not fit, naming the argument', async () => {
    const { image, weights } = smallCase();
    const packed = await native().packWeights(weights);
    const convolution = { ...image, output: { kind: 's32' } as const };
    const refusals: [() => unknown, RegExp][] = [
      [() => native().packWeights({ ...weights, depth: 0 }), /depth must be an integer from 1/],
      [() => native().packWeights({ ...weights, codes: new Uint8Array(3) } as IntegerWeights), /codes must have/],
      [() => native().packWeights(weights, { layout: 'fastest' as Layout }), /layout must be one of/],
      [() => native().packWeights(weights, { isa: 'sse' as Isa }), /isa must be the name/],
      [() => native().convolve(packed, { ...convolution, height: 8 }), /input must have/],
      [() => native().convolve(packed, { ...convolution, maxCode: 9 }), /above maxCode/],
      [() => native().convolve(packed, convolution, { threads: 0 }), /threads must be an integer from 1/],
      [() => native().convolve({} as never, convolution), /weights must be packed weights/],
      [() => native().convolve(packed, { ...convolution, bias: new Int32Array(1) }), /bias must have 70 elements/],
    ];
    for (const [call, message] of refusals) assert.throws(call, { message });
    const broken = { ...weights, codes: new Uint8Array((70 * 48 * 9) / 4).fill(0b10) } as IntegerWeights;
    await assert.rejects(native().packWeights(broken), { name: 'RangeError', message: /0b10/ });
  });

  it('run the set that TRITFORGE_KERNELS names, and say what is wrong with a name', () => {
    const script = `
      const { packedKernels } = await import(${JSON.stringify(new URL('./index.js', import.meta.url).href)});
      const { cpuFeatures, packWeights, convolve } = packedKernels();
      const codes = new Uint8Array(64 * 64 / 4), groupCodes = new Uint8Array(64);
      const weights = await packWeights({ kind: 'ternary', outputChannels: 64, depth: 64, groupSize: 64, codes, groupCodes });
      const input = new Uint8Array(64 * 32);
      const { kernel } = await convolve(weights, { input, height: 32, width: 1, zeroPoint: 0, output: { kind: 's32' } });
      console.log(JSON.stringify({ ...cpuFeatures(), kernel }));`;
    const run = (name: string) => {
      const env = { ...process.env, TRITFORGE_KERNELS: name };
      const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
        encoding: 'utf8',
        env,
      });
      assert.ok(stdout, stderr);
      return JSON.parse(stdout) as { active: string; kernel: string; problem: string | null };
    };
    for (const isa of native().cpuFeatures().runnable) {
      const { active, kernel, problem } = run(isa);
      assert.equal(active, isa);
      assert.ok(kernel.endsWith(`__${isa.replace('-', '_')}`), kernel);
      assert.equal(problem, null);
    }
    assert.match(run('sse9').problem ?? '', /TRITFORGE_KERNELS=sse9 is not one of scalar/);
  });

  it('keep memory bounded over thousands of calls', async () => {
    const { image, weights } = smallCase();
    const round = async (calls: number) => {
      for (let i = 0; i < calls; i++) {
        const packed = await native().packWeights(weights);
        await native().convolve(packed, { ...image, pads: [1, 1, 1, 1], output: { kind: 's32' } });
        native().openPackedWeights(native().packedBytes(packed));
      }
    };
    await round(300);
    const before = process.memoryUsage().rss;
    await round(2000);
    // A lost block of weights per call would be 70 MB, two would be 140.
    const growthBytes = process.memoryUsage().rss - before;
    assert.ok(growthBytes < 48 * 2 ** 20, `resident memory grew by ${growthBytes} bytes`);
  });
});

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
