import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { readFloats } from '../ir/index.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { stripeNetwork, stripeOptions } from './testing.js';
import { type TrainedNetwork, type TrainOptions, trainNetwork } from './train-network.js';

const train = (t: TestContext, changes: Partial<TrainOptions> = {}): Promise<TrainedNetwork> =>
  trainNetwork(stripeNetwork(), { ...stripeOptions(temporaryFolder(t)), averaging: 0.9, keep: 'best', ...changes });

async function bitsOf({ model }: TrainedNetwork): Promise<Float32Array[]> {
  return Promise.all([...model.graph.initializers.values()].map(readFloats));
}

/** Stops a training once an epoch is over. */
async function interrupted(t: TestContext, epoch: number, changes: Partial<TrainOptions>): Promise<void> {
  const controller = new AbortController();
  const running = train(t, {
    ...changes,
    onEpoch: (done) => done.epoch === epoch && controller.abort(),
    signal: controller.signal,
  });
  await assert.rejects(running, { code: 'CANCELED' });
}

test('a training that was interrupted twice ends with the bytes of an undisturbed one', async (t) => {
  const undisturbed = await train(t);
  const checkpoint = join(temporaryFolder(t), 'state');
  await interrupted(t, 1, { checkpoint });
  await interrupted(t, 3, { checkpoint });
  const seen: number[] = [];
  const resumed = await train(t, { checkpoint, onEpoch: ({ epoch }) => seen.push(epoch) });
  assert.deepEqual(seen, [4], 'what was done is not done again');
  assert.deepEqual(await bitsOf(resumed), await bitsOf(undisturbed));
  const losses = ({ curve }: TrainedNetwork) => curve.map(({ trainingLoss, heldOut }) => [trainingLoss, heldOut]);
  assert.deepEqual(losses(resumed), losses(undisturbed));
});

test('the checkpoint of another training is refused before samples are read', async (t) => {
  const checkpoint = join(temporaryFolder(t), 'state');
  await train(t, { checkpoint, epochs: 1 });
  const { data } = stripeOptions('');
  const batches = () => assert.fail('samples are read');
  const unread = { ...data, dataset: { ...data.dataset, batches } };
  for (const changes of [{ epochs: 2 }, { epochs: 1, seed: 2 }, { epochs: 1, threads: 1 }])
    await assert.rejects(train(t, { checkpoint, data: unread, ...changes }), {
      code: 'RECIPE_INVALID',
      message: /was written by a training with another network, other options or other data/,
    });
});

test('a cancelled training leaves no files and no threads', async (t) => {
  const alive = new Set<Worker>();
  const onWorker = (worker: Worker) => {
    alive.add(worker);
    worker.once('exit', () => alive.delete(worker));
  };
  process.on('worker', onWorker);
  t.after(() => process.off('worker', onWorker));
  const scratchDir = temporaryFolder(t);
  const controller = new AbortController();
  const running = train(t, {
    scratchDir,
    epochs: 1000,
    onEpoch: () => {
      assert.deepEqual([alive.size, readdirSync(scratchDir).length], [2, 1]);
      controller.abort();
    },
    signal: controller.signal,
  });
  await assert.rejects(running, { code: 'CANCELED' });
  assert.deepEqual([alive.size, readdirSync(scratchDir).length], [0, 0]);
});

test('a training that is cancelled while samples are read reads no more of them', async (t) => {
  const scratchDir = temporaryFolder(t);
  const { data } = stripeOptions(scratchDir);
  const controller = new AbortController();
  let read = 0;
  async function* batches(options: Parameters<typeof data.dataset.batches>[0]) {
    for await (const batch of data.dataset.batches(options)) {
      read += batch.count;
      controller.abort();
      yield batch;
    }
  }
  const slow = { ...data, dataset: { ...data.dataset, batches } };
  await assert.rejects(train(t, { scratchDir, data: slow, signal: controller.signal }), { code: 'CANCELED' });
  assert.ok(read < data.dataset.sampleCount / 4, `${read} samples`);
  assert.deepEqual(readdirSync(scratchDir), []);
});
