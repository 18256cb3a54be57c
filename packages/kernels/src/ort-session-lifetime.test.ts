import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import v8 from 'node:v8';
import vm from 'node:vm';
import { doubled, endless, feed, floats, sum, sumInputs, weighty } from './testing/session-models.js';
import { skipOrt, testOrt } from './testing/test-ort.js';

const folder = mkdtempSync(path.join(tmpdir(), 'tritforge-ort-'));
after(() => rmSync(folder, { recursive: true }));

describe('cancelling', { skip: skipOrt }, () => {
  it('ends an endless run within a second while the event loop turns, and leaves the session usable', async () => {
    const session = await testOrt().load(endless);
    const x = floats([1], 1);
    for (let round = 0; round < 2; round++) {
      const controller = new AbortController();
      let turns = 0;
      const ticking = setInterval(() => turns++, 2);
      const running = session.run(feed({ x }), { signal: controller.signal });
      await sleep(100);
      assert.ok(turns > 10, `the event loop turned ${turns} times`);
      controller.abort();
      await assert.rejects(running, { name: 'AbortError' });
      clearInterval(ticking);
    }
    // Releasing waits for what the native code still does.
    const before = performance.now();
    await session.release();
    assert.ok(performance.now() - before < 1000);
  });

  it('ends more endless runs than there are threads', async () => {
    const session = await testOrt().load(endless);
    const runs = Array.from({ length: 40 }, () =>
      session.run(feed({ x: floats([1], 1) }), { signal: AbortSignal.timeout(30) }),
    );
    for (const run of await Promise.allSettled(runs)) {
      assert.equal(run.status === 'rejected' && run.reason.name, 'TimeoutError');
    }
    await session.release();
  });

  it('gives the reason of the signal, and starts nothing when it came before', async () => {
    const reason = new Error('no longer wanted');
    await assert.rejects(testOrt().load(sum, { signal: AbortSignal.abort(reason) }), reason);
    const session = await testOrt().load(sum);
    await assert.rejects(session.run(sumInputs, { signal: AbortSignal.abort(reason) }), reason);
    assert.equal((await session.run(sumInputs, { signal: new AbortController().signal })).size, 2);
    await session.release();
  });

  it('lets go of a model that is loading', async () => {
    const bytes = weighty(1024);
    for (const delayMs of [0, 1, 3]) {
      const controller = new AbortController();
      const loading = testOrt().load(bytes, { signal: controller.signal });
      setTimeout(() => controller.abort(), delayMs);
      await loading.then(
        (session) => session.release(),
        (error) => assert.equal(error.name, 'AbortError'),
      );
    }
  });
});

describe('the memory of sessions', { skip: skipOrt }, () => {
  const grownBytes = async (work: () => Promise<void>): Promise<number> => {
    await work();
    const before = process.memoryUsage().rss;
    await work();
    return process.memoryUsage().rss - before;
  };

  it('stays bounded over 200 cycles of loading, running and releasing', async () => {
    const bytes = weighty(512);
    const x = { dtype: 'float32', shape: [4, 512], data: new Float32Array(4 * 512) } as const;
    const growth = await grownBytes(async () => {
      for (let i = 0; i < 100; i++) {
        const session = await testOrt().load(bytes);
        await session.run(feed({ x }));
        await session.release();
      }
    });
    // A hundred lost models would be 100 MB.
    assert.ok(growth < 40 * 2 ** 20, `resident memory grew by ${growth} bytes`);
  });

  it('gives large outputs back', async () => {
    const session = await testOrt().load(doubled('float32'));
    const x = { dtype: 'float32', shape: [2 ** 19], data: new Float32Array(2 ** 19) } as const;
    const growth = await grownBytes(async () => {
      for (let i = 0; i < 100; i++) assert.equal((await session.run(feed({ x }))).get('y')?.data.length, 2 ** 20);
    });
    // A hundred lost outputs would be 400 MB.
    assert.ok(growth < 200 * 2 ** 20, `resident memory grew by ${growth} bytes`);
    await session.release();
  });

  it('comes back from sessions that nobody released', async () => {
    v8.setFlagsFromString('--expose-gc');
    const collectGarbage = vm.runInNewContext('gc') as () => void;
    const bytes = weighty(1024);
    const growth = await grownBytes(async () => {
      for (let i = 0; i < 150; i++) {
        await testOrt().load(bytes);
        if (i % 30 > 0) continue;
        collectGarbage();
        await sleep(10);
      }
    });
    // 150 lost models would be 600 MB; some wait for the next collection.
    assert.ok(growth < 250 * 2 ** 20, `resident memory grew by ${growth} bytes`);
  });
});

describe('the first session of a process', { skip: skipOrt }, () => {
  // It brings our operators, and onnxruntime notes their domain in a map of the process without a lock.
  it('is loaded alone, later ones side by side', () => {
    const [model, pipe] = [path.join(folder, 'sum.onnx'), path.join(folder, 'pipe.onnx')];
    writeFileSync(model, sum);
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    const script = `
      import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
      import { setTimeout as sleep } from 'node:timers/promises';
      process.env.ORT_DISABLE_TELEMETRY = '1';
      const { openOrtLibrary } = await import(${JSON.stringify(new URL('./index.js', import.meta.url).href)});
      const library = openOrtLibrary(${JSON.stringify(testOrt().path)});
      // Fails until a load has come as far as reading the pipe, where it then waits.
      const opened = async () => {
        try {
          return openSync(${JSON.stringify(pipe)}, constants.O_WRONLY | constants.O_NONBLOCK);
        } catch (error) {
          if (error.code !== 'ENXIO') throw error;
          return sleep(2).then(opened);
        }
      };
      const loadTwo = async (patienceMs) => {
        const events = [];
        const slow = library.load(${JSON.stringify(pipe)});
        const writer = await opened();
        const quick = library.load(${JSON.stringify(model)}).then(() => events.push('loaded'));
        await Promise.race([quick, sleep(patienceMs)]);
        events.push('gave the other its model');
        writeFileSync(writer, readFileSync(${JSON.stringify(model)}));
        closeSync(writer);
        await Promise.all([slow, quick]);
        return events;
      };
      console.log(JSON.stringify([await loadTwo(300), await loadTwo(10_000)]));
      process.exit();`;
    const { stdout, stderr, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.equal(signal, null, stderr);
    const [first, later] = JSON.parse(stdout);
    assert.deepEqual(first, ['gave the other its model', 'loaded'], stderr);
    assert.deepEqual(later, ['loaded', 'gave the other its model'], stderr);
  });
});

describe('the end of a thread or process', { skip: skipOrt }, () => {
  const started = () => `
    process.env.ORT_DISABLE_TELEMETRY = '1';
    const { openOrtLibrary } = await import(${JSON.stringify(new URL('./index.js', import.meta.url).href)});
    const session = await openOrtLibrary(${JSON.stringify(testOrt().path)}).load(${JSON.stringify(path.join(folder, 'endless.onnx'))});
    const x = { dtype: 'float32', shape: [1], data: Float32Array.of(1) };
    for (let i = 0; i < 3; i++) session.run(new Map([['x', x]])).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 50));`;
  const inProcess = (script: string) => {
    writeFileSync(path.join(folder, 'endless.onnx'), endless);
    return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 20_000 });
  };

  it('does not wait for endless runs when a worker thread is terminated', () => {
    const worker = `(async () => { ${started()} process.getBuiltinModule('node:worker_threads').parentPort.postMessage('started'); })()`;
    const { stdout, stderr, signal } = inProcess(`
      import { Worker } from 'node:worker_threads';
      for (let i = 0; i < 3; i++) {
        const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
        await new Promise((resolve) => worker.once('message', resolve));
        await worker.terminate();
      }
      console.log('ended');`);
    assert.equal(stdout, 'ended\n', `${stderr}${signal ?? ''}`);
  });

  it('does not wait for endless runs when the process exits', () => {
    const { status, stdout, stderr, signal } = inProcess(`${started()} console.log('exits'); process.exit(7);`);
    assert.equal(stdout, 'exits\n', stderr);
    assert.deepEqual([status, signal], [7, null], stderr);
  });

  it('waits for runs that will end', () => {
    writeFileSync(path.join(folder, 'sum.onnx'), sum);
    const { status, stdout, stderr } = inProcess(`
      process.env.ORT_DISABLE_TELEMETRY = '1';
      const { openOrtLibrary } = await import(${JSON.stringify(new URL('./index.js', import.meta.url).href)});
      openOrtLibrary(${JSON.stringify(testOrt().path)}).load(${JSON.stringify(path.join(folder, 'sum.onnx'))}).then(() => console.log('loaded'));`);
    assert.equal(stdout, 'loaded\n', stderr);
    assert.equal(status, 0);
  });
});
