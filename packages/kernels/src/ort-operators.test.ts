import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import type { OrtLoadOptions, OrtTensor } from './index.js';
import { tensor } from './testing/onnx-writer.js';
import {
  type ConvolutionCase,
  convolutionModel,
  matmulModel,
  maxPoolModel,
  type OperatorModel,
  plainConvolution,
  plainMatmul,
} from './testing/operator-models.js';
import { Random } from './testing/random.js';
import { skipOrt, testOrt } from './testing/test-ort.js';

const folder = mkdtempSync(path.join(tmpdir(), 'tritforge-operators-'));
after(() => rmSync(folder, { recursive: true }));

const randomFeeds = (made: OperatorModel, seed: number, xMax = 255): Map<string, OrtTensor> => {
  const random = new Random(seed);
  const filled = (name: string, shape: readonly number[]): OrtTensor => {
    const count = shape.reduce((product, size) => product * size, 1);
    const data = Uint8Array.from({ length: count }, () => random.integer(0, name === 'X' ? xMax : 255));
    return { dtype: 'uint8', shape, data };
  };
  return new Map([...made.inputs].map(([name, shape]) => [name, filled(name, shape)]));
};

const runOnce = async (
  bytes: Uint8Array,
  feeds: ReadonlyMap<string, OrtTensor>,
  options: OrtLoadOptions = {},
): Promise<OrtTensor> => {
  const session = await testOrt().load(bytes, options);
  try {
    return (await session.run(feeds)).get('Y') as OrtTensor;
  } finally {
    await session.release();
  }
};

/** Our operator and its function body in stock ONNX Runtime give the same bytes. */
const assertSame = async (
  made: OperatorModel,
  seed: number,
  what: unknown,
  xMax?: number,
  options?: OrtLoadOptions,
) => {
  const feeds = randomFeeds(made, seed, xMax);
  const expected = await runOnce(made.bytes, feeds, { customOperators: false });
  const actual = await runOnce(made.bytes, feeds, options);
  const context = `${made.opType} ${JSON.stringify(what)}`;
  assert.deepEqual(actual.shape, made.outputShape, context);
  assert.deepEqual(expected.shape, made.outputShape, context);
  const first = actual.data.findIndex((each: number | bigint, i: number) => each !== expected.data[i]);
  assert.equal(
    first,
    -1,
    `${context}: output ${first} is ${actual.data[first]}, the body gives ${expected.data[first]}`,
  );
  assert.ok(new Set<number | bigint>(actual.data).size > 1, `${context}: all outputs are alike`);
};

describe('operators of the domain tritforge', { skip: skipOrt }, () => {
  for (const ternary of [true, false]) {
    for (const add of [false, true]) {
      for (const yMax of [255, 15]) {
        const name = `${ternary ? 'Ternary' : 'Int8'}Conv${add ? 'Add' : ''}${yMax < 255 ? 'Clip' : ''}`;
        it(`${name} gives the bytes of its function body, for any geometry`, async () => {
          const random = new Random(7);
          for (let seed = 1; seed <= 8; seed++) {
            const kernel = random.pick([
              [1, 1],
              [3, 3],
              [1, 3],
              [5, 5],
            ] as const);
            const group = random.pick([1, 1, 2, 3]);
            const c: ConvolutionCase = {
              ...{ seed, ternary, add, yMax, kernel, group },
              xMax: random.pick([15, 255]),
              batch: random.pick([1, 2]),
              height: random.integer(6, 13),
              width: random.integer(6, 13),
              outputChannels: group * random.integer(2, 40),
              depth: random.integer(1, 40),
              groupSize: random.pick([4, 16, 64]),
              strides: random.pick([
                [1, 1],
                [2, 2],
                [1, 2],
              ] as const),
              dilations:
                kernel[0] === 3
                  ? random.pick([
                      [1, 1],
                      [2, 2],
                    ] as const)
                  : [1, 1],
              pads: random.pick([
                [0, 0, 0, 0],
                [1, 1, 1, 1],
                [0, 1, 2, 1],
              ] as const),
            };
            await assertSame(convolutionModel(c, {}, seed % 2 === 0), seed, c, c.xMax);
          }
        });
      }
    }
  }

  it('convolves one channel at a time', async () => {
    for (const ternary of [true, false]) {
      const c = { ...plainConvolution, ternary, depth: 1, group: 20 };
      await assertSame(convolutionModel(c), 3, c);
    }
  });

  for (const ternary of [true, false]) {
    for (const [form, yMax] of [
      ['MatMul', 255],
      ['MatMulNoBias', 255],
      ['Gemm', 255],
      ['Gemm', 15],
    ] as const) {
      const name = `${ternary ? 'Ternary' : 'Int8'}${form}${yMax < 255 ? 'Clip' : ''}`;
      it(`${name} gives the numbers of its function body, bit for bit`, async () => {
        const random = new Random(11);
        for (const rows of [1, 2, 15, 16, 17, 70]) {
          const groupSize = random.pick([4, 16, 64]);
          const sizes = { rows, n: random.integer(2, 90), k: random.integer(1, 200) };
          const c = { seed: rows, ternary, form, yMax, groupSize, ...sizes };
          await assertSame(matmulModel(c), rows, c);
        }
      });
    }
  }

  it('MaxPool gives the bytes of its function body', async () => {
    const random = new Random(13);
    for (let seed = 1; seed <= 8; seed++) {
      const c = {
        ...{ batch: 2, height: random.integer(5, 14), width: random.integer(5, 14), channels: random.integer(1, 70) },
        kernel: random.pick([
          [2, 2],
          [3, 3],
          [2, 3],
        ] as const),
        strides: random.pick([
          [1, 1],
          [2, 2],
        ] as const),
        dilations: random.pick([
          [1, 1],
          [2, 2],
        ] as const),
        pads: random.pick([
          [0, 0, 0, 0],
          [1, 1, 1, 1],
          [0, 0, 1, 1],
        ] as const),
      };
      await assertSame(maxPoolModel(c), seed, c);
    }
  });

  it('gives the same with two threads, and in runs that overlap', async () => {
    const c = { ...plainConvolution, add: true, height: 40, width: 40, outputChannels: 70 };
    const made = convolutionModel(c);
    await assertSame(made, 5, c, 255, { intraOpThreads: 2 });
    const pooled = { ...c, channels: 40, kernel: [3, 3], strides: [2, 2] } as const;
    await assertSame(maxPoolModel(pooled), 5, pooled, 255, { intraOpThreads: 2 });
    const feeds = randomFeeds(made, 6);
    const expected = await runOnce(made.bytes, feeds, { customOperators: false });
    const session = await testOrt().load(made.bytes, { intraOpThreads: 2 });
    const runs = await Promise.all(Array.from({ length: 12 }, () => session.run(feeds)));
    for (const outputs of runs) assert.deepEqual(outputs.get('Y')?.data, expected.data);
    await session.release();
  });

  it('adds as QLinearAdd for each of the 65,536 pairs, at scales that make ties', async () => {
    const random = new Random(17);
    for (let seed = 1; seed <= 12; seed++) {
      // A 1×1 convolution that copies X, so that every x meets every r.
      const copy: ConvolutionCase = {
        ...plainConvolution,
        ternary: false,
        add: true,
        depth: 1,
        outputChannels: 1,
        kernel: [1, 1],
      };
      const c = { ...copy, seed, batch: 1, height: 256, width: 256, pads: [0, 0, 0, 0] } as const;
      const number = (name: string, value: number) => tensor(name, 'float32', [], Float32Array.of(value));
      const code = (name: string, value: number) => tensor(name, 'uint8', [], Uint8Array.of(value));
      const zeroPoint = random.integer(0, 255);
      const scale = (): number => (seed % 3 === 0 ? 2 ** random.integer(-6, 0) : random.between(0.01, 0.1));
      const [yScale, rScale, zScale] = [scale(), scale(), scale()];
      const initializers = {
        x_scale: number('x_scale', yScale),
        x_zero_point: code('x_zero_point', zeroPoint),
        W: tensor('W', 'int8', [1, 1, 1, 1], Int8Array.of(1)),
        w_scale: tensor('w_scale', 'float32', [1], Float32Array.of(1)),
        y_scale: number('y_scale', yScale),
        y_zero_point: code('y_zero_point', zeroPoint),
        B: tensor('B', 'int32', [1], Int32Array.of(0)),
        r_scale: number('r_scale', rScale),
        z_scale: number('z_scale', zScale),
      };
      const made = convolutionModel(c, { initializers });
      const image = (valueAt: (i: number) => number): OrtTensor => {
        return {
          dtype: 'uint8',
          shape: [1, 256, 256, 1],
          data: Uint8Array.from({ length: 65_536 }, (_, i) => valueAt(i)),
        };
      };
      const feeds = new Map([
        ['X', image((i) => i >> 8)],
        ['R', image((i) => i & 255)],
      ]);
      const expected = await runOnce(made.bytes, feeds, { customOperators: false });
      assert.deepEqual((await runOnce(made.bytes, feeds)).data, expected.data, `seed ${seed}`);
    }
  });

  it('runs itself where it is registered, and the function body where it is not', async () => {
    const operatorsOf = async (customOperators: boolean) => {
      const made = convolutionModel(plainConvolution);
      const session = await testOrt().load(made.bytes, {
        customOperators,
        profilePrefix: path.join(folder, 'profile'),
      });
      await session.run(randomFeeds(made, 1));
      const events = JSON.parse(readFileSync(await session.endProfiling(), 'utf8')) as {
        args?: { op_name?: string };
      }[];
      await session.release();
      return new Set(events.map(({ args }) => args?.op_name));
    };
    const [ours, stock] = [await operatorsOf(true), await operatorsOf(false)];
    assert.ok(ours.has('TernaryConv') && !ours.has('QLinearConv'));
    assert.ok(stock.has('QLinearConv') && !stock.has('TernaryConv'));
  });

  it('gives onnxruntime-node the same through the function body', async () => {
    const ort = (await import('onnxruntime-node')).default;
    const made = convolutionModel({ ...plainConvolution, add: true, yMax: 15 });
    const feeds = randomFeeds(made, 2);
    const session = await ort.InferenceSession.create(made.bytes, { intraOpNumThreads: 1 });
    const inputs = [...feeds].map(([name, { data, shape }]) => [
      name,
      new ort.Tensor('uint8', data as Uint8Array, shape),
    ]);
    const { Y } = await session.run(Object.fromEntries(inputs));
    assert.deepEqual((await runOnce(made.bytes, feeds)).data, Y?.data);
    await session.release();
  });

  it('tells the shape of its output before it runs', async () => {
    const shapeOf = async (made: OperatorModel) => {
      const session = await testOrt().load(made.bytes);
      await session.release();
      return session.outputs[0]?.shape;
    };
    const symbolic = (c: ConvolutionCase) => shapeOf(convolutionModel(c, {}, true));
    assert.deepEqual(await symbolic(plainConvolution), ['batch', 'X_height', 'X_width', 20]);
    assert.deepEqual(await symbolic({ ...plainConvolution, ternary: false, strides: [2, 2] }), [
      'batch',
      'floor((X_height - 1) / 2 + 1)',
      'floor((X_width - 1) / 2 + 1)',
      20,
    ]);
    assert.deepEqual(await shapeOf(matmulModel(plainMatmul)), [1, 'rows', 33]);
  });
});
