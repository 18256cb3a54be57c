import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { syntheticFeeds } from '../evaluate/index.js';
import type { Model } from '../ir/index.js';
import { readModel, validateModel, writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { Feeds, HostTensor } from '../runtime/runtime.js';
import { temporaryFolder } from './temporary-folder.js';

/** Runs a model in onnxruntime as it is written, on inputs made from its declared shapes. */
export async function runModel(t: TestContext, model: Model, feeds?: Feeds): Promise<Map<string, HostTensor>> {
  const path = join(temporaryFolder(t), 'model.onnx');
  await writeModel(model, path);
  const session = await createOnnxRuntime().load(path, { threads: 1, optimization: 'none' });
  try {
    return await session.run(feeds ?? syntheticFeeds(session.inputs, 7));
  } finally {
    await session.release();
  }
}

/**
 * Applies a pass to a copy of the model and asserts that it says it changed something, that the written and reloaded result
 * is valid, and that onnxruntime computes the same from it.
 * @returns the changed model
 */
export async function checkPass(
  t: TestContext,
  model: Model,
  pass: (model: Model) => boolean | Promise<boolean>,
  tolerance = 1e-5,
): Promise<Model> {
  const before = await runModel(t, model);
  const after = structuredClone(model);
  assert.equal(await pass(after), true, 'the pass says that it changed nothing');
  const path = join(temporaryFolder(t), 'after.onnx');
  await writeModel(after, path);
  await validateModel(await readModel(path));
  assertClose(await runModel(t, after), before, tolerance);
  return after;
}

/** Asserts that outputs agree to a tolerance relative to the largest magnitude of each, integers exactly. */
export function assertClose(
  actual: ReadonlyMap<string, HostTensor>,
  expected: ReadonlyMap<string, HostTensor>,
  tolerance: number,
): void {
  assert.deepEqual([...actual.keys()], [...expected.keys()]);
  for (const [name, want] of expected) {
    const have = actual.get(name)!;
    assert.deepEqual([have.dtype, have.shape], [want.dtype, want.shape], name);
    const [a, b] = [[...have.data].map(Number), [...want.data].map(Number)];
    const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = b.reduce((most, value, i) => Math.max(most, Math.abs(value - a[i]!)), 0);
    assert.ok(worst <= tolerance * Math.max(largest, 1e-30), `${name} differs by ${worst} of ${largest}`);
  }
}
