import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { type OrtTensor, openOrtLibrary } from './index.js';
import { model, node, tensor, value } from './testing/onnx-writer.js';
import { doubled, feed, floats, sum, sumInputs, weighty } from './testing/session-models.js';
import { skipOrt, testOrt } from './testing/test-ort.js';

const folder = mkdtempSync(path.join(tmpdir(), 'tritforge-ort-'));
after(() => rmSync(folder, { recursive: true }));

describe('a session of ONNX Runtime', { skip: skipOrt }, () => {
  it('knows the version of its library and what a model takes and gives', async () => {
    assert.match(testOrt().version, /^1\.\d+\.\d+/);
    const session = await testOrt().load(sum);
    assert.deepEqual(session.inputs, [
      { name: 'a', dtype: 'float32', shape: ['rows', 2] },
      { name: 'b', dtype: 'float32', shape: [2] },
    ]);
    assert.deepEqual(session.outputs, [
      { name: 'sum', dtype: 'float32', shape: ['rows', 2] },
      { name: 'difference', dtype: 'float32', shape: ['rows', 2] },
    ]);
    await session.release();
  });

  it('computes all outputs, or those asked for', async () => {
    const session = await testOrt().load(sum);
    const all = await session.run(sumInputs);
    assert.deepEqual([...all.keys()], ['sum', 'difference']);
    assert.deepEqual(all.get('sum'), floats([2, 2], 11, 22, 13, 24));
    const one = await session.run(sumInputs, { fetches: ['difference'] });
    assert.deepEqual([...one], [['difference', floats([2, 2], -9, -18, -7, -16)]]);
    await session.release();
  });

  it('runs on the calling thread when it is to block, with the same results and errors', async () => {
    const session = await testOrt().load(sum);
    const run = await session.run(sumInputs, { blocking: true, fetches: ['difference'] });
    assert.deepEqual([...run], [['difference', floats([2, 2], -9, -18, -7, -16)]]);
    await assert.rejects(session.run(feed({}), { blocking: true }), RangeError);
    await assert.rejects(session.run(sumInputs, { blocking: true, signal: AbortSignal.abort() }), {
      name: 'AbortError',
    });
    await session.release();
    await assert.rejects(session.run(sumInputs, { blocking: true }), /released/);
  });

  it('writes outputs to arrays of the caller, shared ones too, when it is to block', async () => {
    const session = await testOrt().load(sum);
    const data = new Float32Array(new SharedArrayBuffer(6 * 4), 4, 4);
    const into = new Map([['sum', { dtype: 'float32' as const, shape: [2, 2], data }]]);
    const run = await session.run(sumInputs, { blocking: true, into });
    assert.equal(run.get('sum')!.data, data);
    assert.deepEqual([...data], [11, 22, 13, 24]);
    assert.deepEqual([...new Float32Array(data.buffer)], [0, 11, 22, 13, 24, 0]);
    assert.deepEqual(run.get('difference'), floats([2, 2], -9, -18, -7, -16));
    await session.release();
  });

  it('says what is wrong with an array for an output', async () => {
    const session = await testOrt().load(sum);
    const run = (name: string, tensor: OrtTensor, options = {}) =>
      session.run(sumInputs, { blocking: true, into: new Map([[name, tensor]]), ...options });
    await assert.rejects(run('sum', floats([2, 2], 0, 0, 0)), /output "sum" of shape \[2, 2\] needs 4 elements, got 3/);
    await assert.rejects(run('sum', floats([2, 3], 0, 0, 0, 0, 0, 0)), /output "sum" must have the shape \[rows, 2\]/);
    await assert.rejects(run('sum', floats([1, 2], 0, 0)), { name: 'OrtError' });
    await assert.rejects(run('total', floats([2, 2], 0, 0, 0, 0)), /"total", which is not an output that is computed/);
    await assert.rejects(run('sum', floats([2, 2], 0, 0, 0, 0), { fetches: ['difference'] }), RangeError);
    await assert.rejects(run('sum', floats([2, 2], 0, 0, 0, 0), { blocking: false }), /only for a blocking run/);
    const integers = { dtype: 'int32' as const, shape: [2, 2], data: new Int32Array(4) };
    await assert.rejects(run('sum', integers), /output "sum" must be of type float32, got int32/);
    await session.release();
  });

  const examples: Record<string, OrtTensor['data']> = {
    float32: Float32Array.of(1.5, Number.NaN, -0, 3e38),
    float64: Float64Array.of(1.5, 1e300),
    float16: Uint16Array.of(0x3c00, 0x7bff),
    int8: Int8Array.of(-128, 127),
    int16: Int16Array.of(-32768, 32767, 1),
    int32: Int32Array.of(-(2 ** 31), 2 ** 31 - 1),
    int64: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n),
    uint8: Uint8Array.of(0, 255, 7),
    uint16: Uint16Array.of(0, 65535),
    uint32: Uint32Array.of(0, 2 ** 32 - 1),
    uint64: BigUint64Array.of(0n, 2n ** 64n - 1n),
    bool: Uint8Array.of(0, 1, 1),
  };
  for (const [dtype, data] of Object.entries(examples)) {
    it(`carries ${dtype} in and out unchanged, empty too`, async () => {
      const session = await testOrt().load(doubled(dtype));
      for (const values of [data, data.subarray(1), data.subarray(0, 0)]) {
        const x = { dtype, shape: [values.length], data: values } as OrtTensor;
        const y = (await session.run(feed({ x }))).get('y');
        assert.equal(y?.dtype, dtype);
        assert.deepEqual(y?.shape, [2 * values.length]);
        const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
        const result = y?.data as OrtTensor['data'];
        assert.equal(result.constructor, values.constructor);
        assert.deepEqual(
          Buffer.from(result.buffer, result.byteOffset, result.byteLength),
          Buffer.concat([bytes, bytes]),
        );
      }
      await session.release();
    });
  }

  it('gives what onnxruntime-node gives', async () => {
    const ort = (await import('onnxruntime-node')).default;
    const theirs = await ort.InferenceSession.create(weighty(64), { intraOpNumThreads: 1 });
    const ours = await testOrt().load(weighty(64));
    const data = Float32Array.from({ length: 5 * 64 }, (_, i) => Math.sin(i));
    const expected = await theirs.run({ x: new ort.Tensor('float32', data, [5, 64]) });
    const actual = await ours.run(feed({ x: { dtype: 'float32', shape: [5, 64], data } }));
    assert.deepEqual(actual.get('y')?.data, expected.y?.data);
    await theirs.release();
    await ours.release();
  });

  it('takes a copy of its inputs before run returns', async () => {
    const session = await testOrt().load(weighty(256));
    const data = new Float32Array(64 * 256).fill(1);
    const running = session.run(feed({ x: { dtype: 'float32', shape: [64, 256], data } }));
    data.fill(Number.NaN);
    structuredClone(data, { transfer: [data.buffer] });
    assert.ok((await running).get('y')?.data.every((each) => !Number.isNaN(each)));
    await session.release();
  });

  it('runs several times at once', async () => {
    const session = await testOrt().load(sum);
    const runs = Array.from({ length: 40 }, (_, i) =>
      session.run(feed({ a: floats([1, 2], i, i), b: floats([2], 1, 2) }), { fetches: ['sum'] }),
    );
    const sums = (await Promise.all(runs)).map((outputs) => [...(outputs.get('sum')?.data ?? [])]);
    assert.deepEqual(
      sums,
      runs.map((_, i) => [i + 1, i + 2]),
    );
    await session.release();
  });

  it('loads a file, and writes the rewritten model where asked', async () => {
    const file = path.join(folder, 'sum.onnx');
    const optimizedModelPath = path.join(folder, 'optimized.onnx');
    writeFileSync(file, sum);
    const session = await testOrt().load(file, { optimizedModelPath, memoryArena: false, intraOpThreads: 0 });
    assert.deepEqual((await session.run(sumInputs)).get('sum')?.data, Float32Array.of(11, 22, 13, 24));
    assert.ok(existsSync(optimizedModelPath));
    await session.release();
  });

  it('records a profile', async () => {
    const session = await testOrt().load(sum, { profilePrefix: path.join(folder, 'profile') });
    const running = session.run(sumInputs);
    const file = await session.endProfiling();
    await running;
    assert.ok(file.startsWith(path.join(folder, 'profile')));
    const events = JSON.parse(readFileSync(file, 'utf8')) as { args?: { op_name?: string } }[];
    assert.ok(events.some(({ args }) => args?.op_name === 'Add'));
    assert.equal(await session.endProfiling(), file);
    await session.release();
  });

  it('releases after the runs under way, and then runs no more', async () => {
    const session = await testOrt().load(weighty(256));
    const x = { dtype: 'float32', shape: [256, 256], data: new Float32Array(256 * 256) } as const;
    const running = [session.run(feed({ x })), session.run(feed({ x }))];
    const released = session.release();
    await assert.rejects(session.run(feed({ x })), { name: 'OrtError', message: 'the session was released' });
    await released;
    assert.equal((await Promise.all(running)).length, 2);
    await session.release();
    await assert.rejects(session.endProfiling(), { message: 'the session was released' });
  });
});

describe('what a session refuses', { skip: skipOrt }, () => {
  it('files that are no ONNX Runtime, or an old one', (context) => {
    assert.throws(() => openOrtLibrary('/nowhere/libonnxruntime.so'), {
      name: 'OrtError',
      message: /cannot load .*nowhere/,
    });
    assert.throws(() => openOrtLibrary(process.execPath), { name: 'OrtError' });
    assert.throws(() => openOrtLibrary(''), TypeError);
    const source = path.join(folder, 'old.cc');
    const old = path.join(folder, 'libold.so');
    writeFileSync(
      source,
      `static const void* api(unsigned) { return nullptr; }
       static const char* version() { return "1.9.0"; }
       struct Base { const void* (*api)(unsigned); const char* (*version)(); };
       static const Base base{api, version};
       extern "C" const Base* OrtGetApiBase() { return &base; }`,
    );
    const compiled = spawnSync('c++', ['-shared', '-fPIC', source, '-o', old]);
    if (compiled.status !== 0) return context.diagnostic('no compiler makes an old library');
    assert.throws(() => openOrtLibrary(old), {
      message: /onnxruntime 1\.9\.0, which is too old: 1\.16 or newer is needed/,
    });
  });

  it('what is not a model', async () => {
    await assert.rejects(testOrt().load(Uint8Array.of(1, 2, 3)), { name: 'OrtError', message: /protobuf|parse/i });
    await assert.rejects(testOrt().load(path.join(folder, 'none.onnx')), { name: 'OrtError', message: /none\.onnx/ });
    await assert.rejects(testOrt().load(new Uint8Array()), RangeError);
    await assert.rejects(testOrt().load(7 as never), {
      name: 'TypeError',
      message: /model must be a path or a Uint8Array/,
    });
    await assert.rejects(testOrt().load('a\0b'), RangeError);
  });

  it('options that make no sense', async () => {
    const refused = async (options: object, expected: RegExp) =>
      assert.rejects(testOrt().load(sum, options), { message: expected });
    await refused({ intraOpThreads: -1 }, /intraOpThreads must be an integer from 0 to 1024, got -1/);
    await refused({ intraOpThreads: '2' }, /intraOpThreads must be a number/);
    await refused({ optimization: 'some' }, /optimization must be 'all' or 'none', got some/);
    await refused({ memoryArena: 1 }, /memoryArena must be a boolean/);
    await refused({ customOperators: 'yes' }, /customOperators must be a boolean/);
    await refused({ config: { 'session.a': 1 } }, /configValues must be a string/);
    await refused({ profilePrefix: '' }, /profilePrefix must not be empty/);
  });

  it('inputs that do not fit, by name, with what was expected', async () => {
    const session = await testOrt().load(sum);
    const refused = async (tensors: Record<string, unknown>, expected: RegExp) =>
      assert.rejects(session.run(feed({ ...Object.fromEntries(sumInputs), ...tensors } as Record<string, OrtTensor>)), {
        message: expected,
      });
    await refused({ c: floats([1], 1) }, /^unknown input "c"; the model has "a", "b"$/);
    await assert.rejects(session.run(new Map()), { message: /^missing: "a", "b"; got 0 inputs$/ });
    await refused({ b: { ...floats([2], 1, 2), dtype: 'int32' } }, /^input "b" must be of type float32, got int32$/);
    await refused({ b: floats([3], 1, 2, 3) }, /^input "b" must have the shape \[2\], got \[3\]$/);
    await refused({ a: floats([2], 1, 2) }, /^input "a" must have the shape \[rows, 2\], got \[2\]$/);
    await refused({ b: floats([2], 1) }, /^input "b" of shape \[2\] needs 2 elements, got 1$/);
    await refused(
      { b: { ...floats([2]), data: Float64Array.of(1, 2) } },
      /needs data in a Float32Array, got Float64Array$/,
    );
    await refused({ b: { ...floats([2], 1, 2), shape: [2.5] } }, /needs a shape of integers from 0, got 2.5$/);
    await refused({ b: null }, /^input "b" must be a tensor, got null$/);
    await assert.rejects(session.run(sumInputs, { fetches: ['c'] }), {
      message: /^unknown output "c"; the model has "sum"/,
    });
    await assert.rejects(session.run(sumInputs, { fetches: [] }), RangeError);
    await session.release();
  });

  it('tensors of strings, in words', async () => {
    const session = await testOrt().load(doubled('string'));
    const x = { dtype: 'string', shape: [1], data: ['a'] } as unknown as OrtTensor;
    await assert.rejects(session.run(feed({ x })), {
      message: 'input "x" has elements of type string, which cannot be given',
    });
    await session.release();
    const constant = model({
      nodes: [node('Cast', ['x'], ['y'], { to: 8 })],
      inputs: [value('x', 'float32', [1])],
      outputs: [value('y', 'string', [1])],
    });
    const other = await testOrt().load(constant);
    await assert.rejects(other.run(feed({ x: floats([1], 1) })), {
      message: 'output "y" has elements of type string, which cannot be returned',
    });
    await other.release();
  });

  it('what the model itself cannot compute, in the words of ONNX Runtime', async () => {
    const session = await testOrt().load(
      model({
        nodes: [node('Reshape', ['x', 'shape'], ['y'])],
        initializers: [tensor('shape', 'int64', [1], BigInt64Array.of(3n))],
        inputs: [value('x', 'float32', ['n'])],
        outputs: [value('y', 'float32', [3])],
      }),
    );
    await assert.rejects(session.run(feed({ x: floats([2], 1, 2) })), { name: 'OrtError', message: /Reshape/ });
    await session.release();
  });

  it('a profile that was not asked for', async () => {
    const session = await testOrt().load(sum);
    await assert.rejects(session.endProfiling(), { name: 'OrtError', message: /loaded without profilePrefix/ });
    await session.release();
  });
});
