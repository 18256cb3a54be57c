import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { readFloats } from '../ir/index.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { stripeNetwork, stripeOptions, stripes } from './testing.js';
import { type TrainedNetwork, type TrainOptions, trainNetwork } from './train-network.js';

const train = (t: TestContext, changes: Partial<TrainOptions> = {}): Promise<TrainedNetwork> =>
  trainNetwork(stripeNetwork(), { ...stripeOptions(temporaryFolder(t)), ...changes });

async function weightsOf({ model }: Pick<TrainedNetwork, 'model'>) {
  const names = [...model.graph.initializers.keys()].sort();
  return Object.fromEntries(
    await Promise.all(
      names.map(async (name) => [name, Array.from(await readFloats(model.graph.initializers.get(name)!))] as const),
    ),
  );
}

test('a network learns from labels what it did not know, and is judged as it would be run', async (t) => {
  const trained = await train(t, { epochs: 6 });
  const { curve } = trained;
  assert.deepEqual(
    curve.map(({ epoch }) => epoch),
    [1, 2, 3, 4, 5, 6],
  );
  const [first, last] = [curve[0]!, curve.at(-1)!];
  assert.ok(last.trainingLoss < 0.5 * first.trainingLoss, `${first.trainingLoss} to ${last.trainingLoss}`);
  assert.equal(last.heldOut.top1, 100);
  assert.ok(last.heldOut.loss < 0.3, String(last.heldOut.loss));
  assert.equal(last.secondsLeft, 0);
  const weights = await weightsOf(trained);
  assert.deepEqual(weights.futile, [0, 0, 0, 0], 'what normalization takes away is not trained');
  assert.ok(weights.variance!.every((value) => value !== 1) && weights.gain!.every((value) => value !== 1));
});

test('labels that say nothing are not learned', async (t) => {
  const { curve } = await train(t, { data: stripes(72, (sample) => Math.floor(sample / 2) % 2) });
  assert.ok(curve.at(-1)!.heldOut.loss > 0.5, String(curve.at(-1)!.heldOut.loss));
});

test('the same seed and number of threads give the same bits, another seed others', async (t) => {
  const [first, second, other] = [
    await train(t, { epochs: 1 }),
    await train(t, { epochs: 1 }),
    await train(t, { epochs: 1, seed: 2 }),
  ];
  assert.deepEqual(await weightsOf(first), await weightsOf(second));
  assert.notDeepEqual(await weightsOf(first), await weightsOf(other));
});

test('weights that were given are gone on from, and stay where nothing moves them', async (t) => {
  const before = await weightsOf({ model: stripeNetwork() });
  const after = await weightsOf(await train(t, { start: 'as-given', learningRate: 0, decay: 0, epochs: 1 }));
  for (const name of ['w', 'gain', 'shift', 'dense', 'bias']) assert.deepEqual(after[name], before[name], name);
  for (const name of ['mean', 'variance']) assert.notDeepEqual(after[name], before[name], name);
});
