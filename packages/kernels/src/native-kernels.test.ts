import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { kernelInfo, kernels } from './index.js';
import { loadNativeKernels } from './native-kernels.js';

const native = kernelInfo();
const skip = native.implementation === 'fallback' && (native.reason ?? true);
const smallGemm = {
  rows: 4,
  outputChannels: 8,
  inputChannels: 16,
  groupSize: 4,
  zeroPoint: 3,
  activations: new Uint8Array(64).fill(7),
  packedCodes: new Uint8Array(32).fill(0b01010101),
  groupCodes: new Uint8Array(32).fill(2),
};

describe('the native addon', () => {
  it('keeps its memory bounded over ten thousand calls, failures included', { skip }, async () => {
    const run = async (calls: number) => {
      for (let i = 0; i < calls; i++) {
        const gemm = { ...smallGemm, activations: new Uint8Array(64 * 256).fill(7), rows: 1024 };
        assert.equal((await kernels().ternaryGemmInt32(gemm))[0], 16 * 4 * 2);
        assert.throws(() => kernels().ternaryGemmInt32({ ...gemm, rows: 3 }), RangeError);
      }
    };
    await run(500);
    const before = process.memoryUsage().rss;
    await run(10_000);
    // 10 000 lost inputs or results would be 160 or 320 MB.
    const growthBytes = process.memoryUsage().rss - before;
    assert.ok(growthBytes < 64 * 2 ** 20, `resident memory grew by ${growthBytes} bytes`);
  });

  it('lets a worker thread end while a product is running', { skip }, () => {
    const script = `
      import { Worker } from 'node:worker_threads';
      import { setTimeout } from 'node:timers/promises';
      const worker = new Worker(\`
        import(${JSON.stringify(new URL('./index.js', import.meta.url).href)}).then(({ kernels }) => {
          const size = 1024;
          const gemm = { rows: size, outputChannels: size, inputChannels: size, groupSize: size, zeroPoint: 0,
            activations: new Uint8Array(size * size), packedCodes: new Uint8Array(size * size / 4), groupCodes: new Uint8Array(size) };
          for (let i = 0; i < 8; i++) kernels().ternaryGemmInt32(gemm);
          process.getBuiltinModule('node:worker_threads').parentPort.postMessage('started');
        });\`, { eval: true });
      await new Promise((resolve) => worker.once('message', resolve));
      await worker.terminate();
      await setTimeout(50);
      console.log('ended');`;
    const { stdout, stderr, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.equal(stdout, 'ended\n', `${stderr}${signal ?? ''}`);
  });
});

describe('loading the native addon', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tritforge-kernels-'));
  const buildFolder = pathToFileURL(`${folder}/`);
  const statusFile = path.join(folder, `status-${process.platform}-${process.arch}.json`);
  after(() => rmSync(folder, { recursive: true }));

  it('says how to build it when no build has finished', () => {
    assert.throws(() => loadNativeKernels(new URL('nowhere/', buildFolder)), {
      name: 'NativeKernelsUnavailable',
      message:
        /nowhere.* cannot be read: no build has finished\. To get native kernels: .*build\.mjs --force --require/s,
    });
  });

  it('repeats why the build gave none', () => {
    writeFileSync(statusFile, JSON.stringify({ addon: null, reason: 'no C++ compiler answers' }));
    assert.throws(() => loadNativeKernels(buildFolder), {
      message: /^no C\+\+ compiler answers\. To get native kernels: /,
    });
  });

  it('names a file that is not an addon of this system', () => {
    writeFileSync(statusFile, JSON.stringify({ addon: 'broken.node', reason: null }));
    writeFileSync(path.join(folder, 'broken.node'), 'not a library');
    assert.throws(() => loadNativeKernels(buildFolder), {
      message: /broken\.node cannot be loaded: .*another system/s,
    });
  });

  it('refuses an addon of another interface version', () => {
    writeFileSync(statusFile, JSON.stringify({ addon: 'other.cjs', reason: null }));
    writeFileSync(path.join(folder, 'other.cjs'), 'exports.interfaceVersion = 0;');
    assert.throws(() => loadNativeKernels(buildFolder), { message: /interface version 0, this package needs \d+/ });
  });
});
