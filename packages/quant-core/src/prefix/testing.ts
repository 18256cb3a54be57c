import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { loadScratchModel, withOutputs } from '../calibrate/observed-model.js';
import type { FeedRun } from '../data/feeds.js';
import type { Model } from '../ir/index.js';
import { readModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { Feeds, HostTensor, Runtime } from '../runtime/runtime.js';
import { hostBytes } from './host-bytes.js';

/** Runs of one sample each, without padding. */
export function singleRuns(feeds: readonly Feeds[]): FeedRun[] {
  return feeds.map((run) => ({ feeds: run, samples: 1, padding: 0 }));
}

/** What the whole model computes for each run, as written and on one thread. */
export async function runWhole(
  model: Model,
  values: readonly string[],
  feeds: readonly Feeds[],
  scratchDir: string,
): Promise<Map<string, HostTensor>[]> {
  const options = { threads: 1, optimization: 'none' } as const;
  const computed = values.filter((name) => !feeds[0]!.has(name) && !model.graph.initializers.has(name));
  const laboratory = { runtime: createOnnxRuntime(), scratchDir, options };
  const session = await loadScratchModel(withOutputs(model, computed), laboratory);
  try {
    const results: Map<string, HostTensor>[] = [];
    for (const run of feeds) results.push(await session.run(run));
    return results;
  } finally {
    await session.release();
  }
}

/** Fails unless type, shape and every bit are the same. */
export function assertSameBits(actual: HostTensor, expected: HostTensor, what: string): void {
  assert.equal(actual.dtype, expected.dtype, what);
  assert.deepEqual([...actual.shape], [...expected.shape], what);
  assert.ok(Buffer.from(hostBytes(actual)).equals(Buffer.from(hostBytes(expected))), `${what} differs`);
}

/** onnxruntime, with a count of how often each node ran, by its name. */
export function countingRuntime(): { runtime: Runtime; ran: Map<string, number> } {
  const inner = createOnnxRuntime();
  const ran = new Map<string, number>();
  const load: Runtime['load'] = async (path, options) => {
    const { graph } = await readModel(path);
    const session = await inner.load(path, options);
    const run: typeof session.run = async (...args) => {
      for (const { name } of graph.nodes) ran.set(name, (ran.get(name) ?? 0) + 1);
      return session.run(...args);
    };
    return { inputs: session.inputs, outputs: session.outputs, run, release: () => session.release() };
  };
  return { runtime: { engine: inner.engine, load }, ran };
}

/** Bytes of all files under a folder. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
