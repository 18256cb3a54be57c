import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { OrtTensor } from './index.js';
import { EXIT_UNSUPPORTED } from './testing/build-exit-code.js';
import { tensor } from './testing/onnx-writer.js';
import {
  convolutionModel,
  matmulModel,
  maxPoolModel,
  plainConvolution,
  plainMatmul,
  type Sabotage,
} from './testing/operator-models.js';
import { skipOrt, testOrt } from './testing/test-ort.js';

describe('what operators refuse', { skip: skipOrt }, () => {
  const refusesToLoad = async (bytes: Uint8Array, expected: RegExp) =>
    assert.rejects(testOrt().load(bytes), { name: 'OrtError', message: expected });
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
      refusesToLoad(convolutionModel(plainConvolution, { attributes: wrong }).bytes, expected));
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
      refusesToLoad(convolutionModel(plainConvolution, { initializers: { [name]: replacement } }).bytes, expected));
  }

  it('matrices and pools that make no sense', async () => {
    const matmul = (sabotage: Sabotage, ternary = true) => matmulModel({ ...plainMatmul, ternary }, sabotage).bytes;
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
    const made = convolutionModel({ ...plainConvolution, add: true }, {}, true);
    const session = await testOrt().load(made.bytes);
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
    assert.rejects(testOrt().load(convolutionModel(plainConvolution).bytes, { config }), { message: expected });
});

describe('the library of operators', { skip: skipOrt }, () => {
  it('exports nothing but RegisterCustomOps', (context) => {
    const script = fileURLToPath(new URL('../build.mjs', import.meta.url));
    const built = spawnSync(process.execPath, [script, '--operators'], { encoding: 'utf8' });
    // Standard error says that there is no compiler: then there is no library to look into.
    if (built.status === EXIT_UNSUPPORTED) return context.skip(built.stderr.trim());
    assert.equal(built.status, 0, built.stderr);
    const symbols = spawnSync('nm', ['-D', '--defined-only', built.stdout.trim()], { encoding: 'utf8' });
    // Of binutils, which a machine without a compiler may lack.
    if (symbols.status !== 0) return context.skip('needs the command nm (binutils)');
    assert.match(symbols.stdout, /^\S+ T RegisterCustomOps\n$/);
  });
});
