import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { kernelInfo, type OrtLibrary, type OrtLoadOptions, type OrtTensor, openOrtLibrary } from './index.js';
import { tensor } from './testing/onnx-writer.js';
import {
  type ConvolutionCase,
  convolutionModel,
  type MatmulCase,
  matmulModel,
  maxPoolModel,
  type OperatorModel,
  type Sabotage,
} from './testing/operator-models.js';
import { ortLibraryPath } from './testing/ort-library-path.js';
import { Random } from './testing/random.js';

process.env.ORT_DISABLE_TELEMETRY = '1';
const native = kernelInfo();
const libraryPath = ortLibraryPath();
const skip =
  (native.implementation === 'fallback' && (native.reason ?? true)) ||
  (libraryPath === null && 'onnxruntime-node ships no library for this system');
const folder = mkdtempSync(path.join(tmpdir(), 'tritforge-operators-'));
after(() => rmSync(folder, { recursive: true }));

const library = (): OrtLibrary => openOrtLibrary(libraryPath as string);

const plain: ConvolutionCase = {
  seed: 1,
  ternary: true,
  add: false,
  yMax: 255,
  xMax: 255,
  batch: 2,
  height: 9,
  width: 11,
  outputChannels: 20,
  depth: 24,
  group: 1,
  groupSize: 16,
  kernel: [3, 3],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [1, 1, 1, 1],
};
const matrix: MatmulCase = { seed: 1, ternary: true, rows: 5, n: 33, k: 70, groupSize: 16 };

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
  const session = await library().load(bytes, options);
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

describe('operators of the domain tritforge', { skip }, () => {
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
      const c = { ...plain, ternary, depth: 1, group: 20 };
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
    const c = { ...plain, add: true, height: 40, width: 40, outputChannels: 70 };
    const made = convolutionModel(c);
    await assertSame(made, 5, c, 255, { intraOpThreads: 2 });
    const pooled = { ...c, channels: 40, kernel: [3, 3], strides: [2, 2] } as const;
    await assertSame(maxPoolModel(pooled), 5, pooled, 255, { intraOpThreads: 2 });
    const feeds = randomFeeds(made, 6);
    const expected = await runOnce(made.bytes, feeds, { customOperators: false });
    const session = await library().load(made.bytes, { intraOpThreads: 2 });
    const runs = await Promise.all(Array.from({ length: 12 }, () => session.run(feeds)));
    for (const outputs of runs) assert.deepEqual(outputs.get('Y')?.data, expected.data);
    await session.release();
  });

  it('adds as QLinearAdd for each of the 65,536 pairs, at scales that make ties', async () => {
    const random = new Random(17);
    for (let seed = 1; seed <= 12; seed++) {
      // A 1×1 convolution that copies X, so that every x meets every r.
      const copy: ConvolutionCase = {
        ...plain,
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
      const made = convolutionModel(plain);
      const session = await library().load(made.bytes, {
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
    const made = convolutionModel({ ...plain, add: true, yMax: 15 });
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
      const session = await library().load(made.bytes);
      await session.release();
      return session.outputs[0]?.shape;
    };
    const symbolic = (c: ConvolutionCase) => shapeOf(convolutionModel(c, {}, true));
    assert.deepEqual(await symbolic(plain), ['batch', 'X_height', 'X_width', 20]);
    assert.deepEqual(await symbolic({ ...plain, ternary: false, strides: [2, 2] }), [
      'batch',
      'floor((X_height - 1) / 2 + 1)',
      'floor((X_width - 1) / 2 + 1)',
      20,
    ]);
    assert.deepEqual(await shapeOf(matmulModel(matrix)), [1, 'rows', 33]);
  });
});

describe('what operators refuse', { skip }, () => {
  const refusesToLoad = async (bytes: Uint8Array, expected: RegExp) =>
    assert.rejects(library().load(bytes), { name: 'OrtError', message: expected });
  const integers = (name: string, type: 'int8' | 'uint8', shape: readonly number[]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    return tensor(name, type, shape, type === 'int8' ? new Int8Array(count).fill(1) : new Uint8Array(count));
  };
  const floatsOf = (name: string, shape: readonly number[], ...data: number[]) =>
    tensor(name, 'float32', shape, Float32Array.from(data));

  const attributes: [NonNullable<Sabotage['attributes']>, RegExp][] = [
    [{ group_size: 0 }, /TernaryConv node 'TernaryConv_Y': group_size must be from 1 to \d+, got 0/],
    [{ group_size: 8 }, /group_codes must have the shape \[20, 3, 3, 3\], got \[20, 2, 3, 3\]/],
    [{ weight_shape: [20, 24, 3] }, /weight_shape must have 4 elements, got 3/],
    [{ weight_shape: [20, 24, 3, 4] }, /kernel_shape \[3, 3\] is not that of W/],
    [{ weight_shape: [21, 24, 3, 3] }, /w_scale must have the shape \[21\], got \[20\]/],
    [{ weight_shape: [20, 2 ** 30, 3, 3] }, /W must have the shape \[\d+\], got \[1080\]/],
    [{ weight_shape: [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 24, 2 ** 24], kernel_shape: [2 ** 24, 2 ** 24] }, /is impossible/],
    [{ weight_shape: [20, -24, 3, 3] }, /weight_shape\[1\] must be from 1 to \d+, got -24/],
    [{ kernel_shape: [3] }, /kernel_shape must have 2 elements, got 1/],
    [{ strides: [0, 1] }, /strides\[0\] must be from 1 to \d+, got 0/],
    [{ dilations: [1, -1] }, /dilations\[1\] must be from 1/],
    [{ pads: [1, 1, -1, 1] }, /pads\[2\] must be from 0/],
    [{ pads: Array.from({ length: 40 }, () => 1) }, /attribute pads/],
    [{ group: 3 }, /group must divide the number of output channels, 20/],
    [{ group: 'one' }, /attribute group/],
    [{ y_max: 15 }, /y_max must be 255, the operator does not clip/],
    [{ x_max: 256 }, /x_max must be from 1 to 255, got 256/],
    [{ x_max: { float: 15 } }, /attribute x_max/],
  ];
  for (const [wrong, expected] of attributes) {
    const shown = JSON.stringify(wrong);
    it(`the attributes ${shown.length > 80 ? `${shown.slice(0, 80)}…` : shown}`, () =>
      refusesToLoad(convolutionModel(plain, { attributes: wrong }).bytes, expected));
  }

  const constants: [Uint8Array, string, RegExp][] = [
    [tensor('W', 'uint8', [1080], new Uint8Array(1080).fill(0b10)), 'W', /the weights cannot be packed: .*0b10/],
    [integers('W', 'uint8', [1079]), 'W', /W must have the shape \[1080\], got \[1079\]/],
    [tensor('group_codes', 'int8', [20, 2, 3, 3], new Int8Array(360).fill(-1)), 'group_codes', /cannot be packed/],
    [floatsOf('x_scale', [], 0), 'x_scale', /x_scale must be positive and finite, got 0/],
    [floatsOf('x_scale', [2], 1, 1), 'x_scale', /x_scale must be one number, got the shape \[2\]/],
    [floatsOf('y_scale', [], Number.NaN), 'y_scale', /y_scale must be positive and finite, got nan/],
    [floatsOf('y_scale', [], 1e-45), 'y_scale', /w_scale\[0\] must be positive and finite with the other scales/],
    [floatsOf('w_scale', [20], ...Array(20).fill(-1)), 'w_scale', /w_scale\[0\] must be positive/],
    [
      tensor('B', 'int32', [20], new Int32Array(20).fill(2 ** 31 - 1)),
      'B',
      /B\[0\] is so large that sums could leave int32/,
    ],
    [tensor('B', 'int32', [0], new Int32Array(0)), 'B', /B must have the shape \[20\], got \[0\]/],
  ];
  for (const [replacement, name, expected] of constants) {
    it(`constants: ${name}, ${expected.source}`, () =>
      refusesToLoad(convolutionModel(plain, { initializers: { [name]: replacement } }).bytes, expected));
  }

  it('matrices and pools that make no sense', async () => {
    const matmul = (sabotage: Sabotage, ternary = true) => matmulModel({ ...matrix, ternary }, sabotage).bytes;
    await refusesToLoad(matmul({ attributes: { K: 71 } }), /W must have the shape \[586\], got \[578\]/);
    await refusesToLoad(matmul({ attributes: { N: 2 ** 31 } }), /N must be from 1 to \d+/);
    await refusesToLoad(matmul({ attributes: { K: 71 } }, false), /W must have the shape \[33, 71\], got \[33, 70\]/);
    const pool = {
      batch: 1,
      height: 4,
      width: 4,
      channels: 3,
      kernel: [2, 2],
      strides: [1, 1],
      dilations: [1, 1],
    } as const;
    const pooled = (sabotage: Sabotage) => maxPoolModel({ ...pool, pads: [0, 0, 0, 0] }, sabotage).bytes;
    await refusesToLoad(pooled({ attributes: { ceil_mode: 1 } }), /ceil_mode must be from 0 to 0, got 1/);
    await refusesToLoad(pooled({ attributes: { strides: [1] } }), /strides must have 2 elements, got 1/);
  });

  it('tensors of other shapes while it runs', async () => {
    const made = convolutionModel({ ...plain, add: true }, {}, true);
    const session = await library().load(made.bytes);
    const zeros = (...shape: number[]): OrtTensor => {
      return { dtype: 'uint8', shape, data: new Uint8Array(shape.reduce((product, size) => product * size, 1)) };
    };
    const refused = (x: OrtTensor, r: OrtTensor, message: RegExp) =>
      assert.rejects(
        session.run(
          new Map([
            ['X', x],
            ['R', r],
          ]),
        ),
        { name: 'OrtError', message },
      );
    await refused(
      zeros(2, 9, 11, 24),
      zeros(2, 9, 10, 20),
      /R must have the shape \[2, 9, 11, 20\], got \[2, 9, 10, 20\]/,
    );
    await refused(zeros(1, 0, 5, 24), zeros(1, 0, 5, 20), /the window is larger than X with its pads, \[1, 0, 5, 24\]/);
    const empty = await session.run(
      new Map([
        ['X', zeros(0, 9, 11, 24)],
        ['R', zeros(0, 9, 11, 20)],
      ]),
    );
    assert.deepEqual(empty.get('Y')?.shape, [0, 9, 11, 20]);
    await session.release();
  });

  it('a number of threads that is none', async () => {
    const config = { 'tritforge.threads': 'many' };
    await refusesThreads(config, /tritforge\.threads must be a number from 0 to 256, got many/);
  });

  const refusesThreads = async (config: Record<string, string>, expected: RegExp) =>
    assert.rejects(library().load(convolutionModel(plain).bytes, { config }), { message: expected });
});

describe('the library of operators', { skip }, () => {
  it('exports nothing but RegisterCustomOps', (context) => {
    const script = fileURLToPath(new URL('../build.mjs', import.meta.url));
    const built = spawnSync(process.execPath, [script, '--operators'], { encoding: 'utf8' });
    if (built.status === 3) return context.skip(built.stderr);
    assert.equal(built.status, 0, built.stderr);
    const symbols = spawnSync('nm', ['-D', '--defined-only', built.stdout.trim()], { encoding: 'utf8' });
    if (symbols.status !== 0) return context.skip('there is no nm');
    assert.match(symbols.stdout, /^\S+ T RegisterCustomOps\n$/);
  });
});
