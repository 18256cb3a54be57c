import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import type { TaskProgress } from './engine-task.js';
import type { Misbehaviour } from './misbehaving-child.js';
import { type RunOptions, runInProcess } from './run-in-process.js';
import { withScratchDirectory } from './scratch-directory.js';

const CHILD = new URL('./misbehaving-child.js', import.meta.url);
const LIMITS = { memoryBytes: 400 * 2 ** 20, wallClockMs: 20_000 };

let root: string;

function run(task: Misbehaviour, options: Partial<RunOptions> = {}): Promise<unknown> {
  return withScratchDirectory(root, (scratchDir) =>
    runInProcess(CHILD, task, scratchDir, { limits: LIMITS, ...options }),
  );
}

async function errorOf(promise: Promise<unknown>): Promise<TritforgeError> {
  const error = await promise.then(
    () => assert.fail('the task succeeded'),
    (thrown) => thrown,
  );
  assert.ok(error instanceof TritforgeError, String(error));
  return error;
}

/** Whether the process is gone, or dead and waiting to be reaped. */
function isDead(pid: number): boolean {
  try {
    if (process.platform === 'linux') return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

async function dies(pid: number, withinMs: number): Promise<void> {
  const giveUpMs = Date.now() + withinMs;
  while (!isDead(pid)) {
    assert.ok(Date.now() < giveUpMs, `process ${pid} still runs after ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('runInProcess', { concurrency: 2 }, () => {
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'run-in-process-'));
  });
  after(async () => {
    assert.deepEqual(readdirSync(root), [], 'scratch folders are left over');
    await rm(root, { recursive: true });
  });

  test('asks a task to settle when the host wants it, and takes its result', async () => {
    const settle = new AbortController();
    assert.equal(
      await run({ kind: 'awaitSettle' }, { settle: settle.signal, onProgress: () => settle.abort() }),
      'settled',
    );
    assert.equal(await run({ kind: 'awaitSettle' }, { settle: AbortSignal.abort() }), 'settled');
  });

  test('asks a task to settle before its deadline', async () => {
    assert.equal(await run({ kind: 'awaitSettle' }, { limits: { ...LIMITS, wallClockMs: 4000 } }), 'settled');
  });

  test('a result crosses with its types', async () => {
    const value = { map: new Map([['a', Float32Array.of(1, 2)]]), big: 1n, nothing: null };
    assert.deepEqual(await run({ kind: 'echo', value }), value);
  });

  test('a child sees neither the environment nor the folder of its parent', async () => {
    process.env.TRITFORGE_SECRET = 'secret';
    const seen = (await run({ kind: 'reportEnvironment' })) as { environment: Record<string, string>; cwd: string };
    assert.equal(seen.environment.TRITFORGE_SECRET, undefined);
    assert.equal(seen.environment.ORT_DISABLE_TELEMETRY, '1');
    assert.equal(seen.environment.HOME, seen.environment.TMPDIR);
    assert.ok(seen.cwd.includes('run-in-process-'));
  });

  test('tasks yield the processor as they are told, as processes and as groups of the scheduler', async () => {
    // Several at once: the kernel refuses all but the first to users other than root, for a moment.
    const lowered = Array.from({ length: 3 }, () => run({ kind: 'awaitRank', niceness: 7 }, { niceness: 7 }));
    assert.deepEqual(await Promise.all(lowered), [7, 7, 7]);
    assert.equal(await run({ kind: 'awaitRank', niceness: 0 }), 0);
  });

  test('an error of a task arrives with code, place and remediation', async () => {
    const error = await errorOf(run({ kind: 'fail' }));
    assert.deepEqual(error.toJSON(), {
      code: 'MODEL_CYCLIC',
      message: 'conv1 feeds itself',
      retryable: false,
      node: 'conv1',
      remediation: 'Cut the cycle.',
    });
  });

  test('a mistake of the engine arrives as INTERNAL with the stack of the child', async () => {
    const error = await errorOf(run({ kind: 'failInside' }));
    assert.equal(error.code, 'INTERNAL');
    assert.match(error.message, /failInside failed inside the engine: undefined is not a tensor/);
    assert.match(String(error.cause), /misbehaving-child/);
  });

  test('a disk that is full, a quota that is used up and a limit on files arrive as STORAGE_FULL', async () => {
    for (const code of ['ENOSPC', 'EDQUOT', 'EFBIG']) {
      assert.equal((await errorOf(run({ kind: 'findNoSpace', code }))).code, 'STORAGE_FULL', code);
    }
  });

  test('a blocked child is killed at its deadline', async () => {
    const startedMs = Date.now();
    const error = await errorOf(run({ kind: 'block' }, { limits: { ...LIMITS, wallClockMs: 700 } }));
    assert.equal(error.code, 'JOB_DEADLINE_EXCEEDED');
    assert.ok(Date.now() - startedMs < 1700);
  });

  test('a blocked child is killed at once when the signal aborts, its descendants too', async () => {
    const abort = new AbortController();
    let grandchildPid = 0;
    let abortedAtMs = 0;
    const onProgress = ({ unit }: TaskProgress) => {
      grandchildPid = Number(unit);
      abortedAtMs = Date.now();
      abort.abort(new Error('enough'));
    };
    const error = await errorOf(run({ kind: 'blockWithGrandchild' }, { signal: abort.signal, onProgress }));
    assert.equal(error.code, 'CANCELED');
    assert.equal((error.cause as Error).message, 'enough');
    assert.ok(Date.now() - abortedAtMs < 500);
    await dies(grandchildPid, 500);
  });

  test('an aborted signal starts nothing', async () => {
    const error = await errorOf(run({ kind: 'block' }, { signal: AbortSignal.abort() }));
    assert.equal(error.code, 'CANCELED');
  });

  test('a child that fills buffers is killed at the memory limit', async () => {
    const limits = { ...LIMITS, memoryBytes: 150 * 2 ** 20 };
    const error = await errorOf(run({ kind: 'allocate', where: 'buffers' }, { limits }));
    assert.equal(error.code, 'JOB_MEMORY_EXCEEDED');
    assert.match(error.message, /150 MiB/);
  });

  test('a child that fills its heap is killed at the memory limit', async () => {
    const limits = { ...LIMITS, memoryBytes: 150 * 2 ** 20 };
    assert.equal((await errorOf(run({ kind: 'allocate', where: 'heap' }, { limits }))).code, 'JOB_MEMORY_EXCEEDED');
  });

  test('a child that fills its scratch folder is killed', async () => {
    const limits = { ...LIMITS, scratchBytes: 2 ** 20 };
    const error = await errorOf(run({ kind: 'fillScratch', sizeBytes: 2 ** 21 }, { limits }));
    assert.equal(error.code, 'JOB_DISK_EXCEEDED');
  });

  test('a crash names the signal and the phase', async () => {
    const error = await errorOf(run({ kind: 'die', signal: 'SIGSEGV' }));
    assert.equal(error.code, 'JOB_CRASHED');
    assert.equal(error.message, 'The process that ran die died of SIGSEGV in phase calibrate.');
    assert.ok(error.retryable);
  });

  test('a child that exits without an answer has crashed', async () => {
    const error = await errorOf(run({ kind: 'exit' }));
    assert.equal(error.code, 'JOB_CRASHED');
    assert.match(error.message, /exit code 3/);
  });

  test('progress is thinned out, and the last report arrives', async () => {
    const reports: TaskProgress[] = [];
    await run({ kind: 'flood', reports: 100_000 }, { onProgress: (progress) => reports.push(progress) });
    assert.equal(reports[0]!.done, 1);
    assert.equal(reports.at(-1)!.done, 100_000);
    assert.ok(reports.length < 50, `${reports.length} reports`);
  });

  test('a listener that throws ends the run', async () => {
    const onProgress = () => {
      throw new Error('no room for progress');
    };
    await assert.rejects(run({ kind: 'block' }, { onProgress }), /no room for progress/);
  });

  test('a blocked child dies with its parent', async () => {
    const scratchDir = await mkdtemp(join(tmpdir(), 'orphan-'));
    const parent = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { runInProcess } from ${JSON.stringify(new URL('./run-in-process.js', import.meta.url).href)};
         await runInProcess(new URL(${JSON.stringify(CHILD.href)}), { kind: 'block' }, ${JSON.stringify(scratchDir)}, {
           limits: ${JSON.stringify(LIMITS)}, onProgress: ({ unit }) => process.stdout.write(unit + '\\n') });`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [line] = await once(parent.stdout, 'data');
    const childPid = Number(line);
    assert.equal(isDead(childPid), false);
    parent.kill('SIGKILL');
    await dies(childPid, 1500);
    await rm(scratchDir, { recursive: true });
    assert.equal(existsSync(scratchDir), false);
  });
});
