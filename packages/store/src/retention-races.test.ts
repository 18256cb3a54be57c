/** Uploads, jobs, deletes, expiries and sweeps at once: no row loses its bytes, and no bytes are left without a row. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, it } from 'node:test';
import { type ErrorCode, TritforgeError } from '@tritforge/contracts';
import pg from 'pg';
import type { StagedBlob } from './blobs/blob-storage.js';
import { openStore, type Store } from './store.js';
import { DATASET_SUMMARY, MODEL_SUMMARY, makeArtifact, REPORT, stageText, WORKER } from './testing/fixtures.js';
import { openTestStore, type TestStore } from './testing/index.js';
import { type Random, seededRandom } from './testing/random.js';

const SEED = 20261122;
const ROUNDS = 60;
const ACTIONS_AT_ONCE = 14;
/** Few, so that models, datasets and artifacts share bytes all the time. */
const TEXTS = ['one', 'two', 'three', 'four'];
/** What may become of an action that another one was quicker than. */
const LOST: readonly ErrorCode[] = [
  'MODEL_NOT_FOUND',
  'DATASET_NOT_FOUND',
  'JOB_NOT_FOUND',
  'JOB_NOT_ENDED',
  'JOB_ALREADY_ENDED',
  'RESOURCE_IN_USE',
];

let test: TestStore;
let stores: readonly Store[];
let db: pg.Pool;
before(async () => {
  test = await openTestStore();
  const other = await openStore({ databaseUrl: test.databaseUrl, blobDir: path.join(test.dir, 'blobs') });
  stores = [test.store, other];
  db = new pg.Pool({ connectionString: test.databaseUrl });
});
after(async () => {
  await db.end();
  await stores[1]?.close();
  await test.close();
});

const ids = async (table: 'models' | 'datasets' | 'jobs') =>
  (await db.query<{ id: string }>(`SELECT id FROM ${table} ORDER BY id`)).rows.map(({ id }) => id);

/** What there was when a round began. */
type Known = Readonly<Record<'models' | 'datasets' | 'jobs', readonly string[]>>;
type Action = (store: Store, random: Random, known: Known) => Promise<unknown>;

async function withStaged(store: Store, texts: readonly string[], use: (blobs: StagedBlob[]) => Promise<unknown>) {
  const blobs = await Promise.all(texts.map((text) => stageText(store, text)));
  try {
    await use(blobs);
  } finally {
    await Promise.all(blobs.map((blob) => blob.discard()));
  }
}

const lifetime = (random: Random) => random.pick([null, 60, 3600]) ?? null;

const uploadModel: Action = (store, random) => {
  const names = ['model.onnx', 'a.data', 'b.data'].slice(0, 1 + random.below(3));
  const texts = names.map(() => random.pick(TEXTS)!);
  const expiresInSeconds = lifetime(random);
  return withStaged(store, texts, (blobs) => {
    const files = blobs.map((blob, i) => ({ name: names[i]!, blob }));
    return store.models.create({ files, summary: MODEL_SUMMARY, expiresInSeconds });
  });
};

const uploadDataset: Action = (store, random) => {
  const expiresInSeconds = lifetime(random);
  return withStaged(store, [random.pick(TEXTS)!], ([blob]) => {
    const file = { name: 'data.npz', blob: blob! };
    return store.datasets.create({ file, preprocess: null, summary: DATASET_SUMMARY, expiresInSeconds });
  });
};

const runJob: Action = async (store, random, { models, datasets }) => {
  const [modelId, calibration] = [random.pick(models), random.pick(datasets)];
  const [text, isCanceled, expiresInSeconds] = [random.pick(TEXTS)!, random.below(4) === 0, lifetime(random)];
  if (modelId === undefined) return;
  const wanted = { modelId, recipe: {}, expiresInSeconds, ...(calibration && { datasets: { calibration } }) };
  const { id } = await store.jobs.create(wanted);
  const claim = await store.jobs.claim(id, WORKER);
  assert.ok(claim);
  assert.ok(await store.models.get(modelId), 'the model of a job that runs is there');
  if (isCanceled) return store.cancelJob(id);
  const artifacts = [await makeArtifact(store, text)];
  return store.jobs.finish(claim, { state: 'succeeded', report: REPORT, artifacts });
};

/** As if their time were over, whatever it was. */
const expire: Action = async (_, random, known) => {
  const chosen = (of: readonly string[]) => of.filter(() => random.below(3) === 0);
  const [models, datasets, jobs] = [chosen(known.models), chosen(known.datasets), chosen(known.jobs)];
  await db.query('UPDATE models SET expires_at = now() WHERE id = ANY($1)', [models]);
  await db.query('UPDATE datasets SET expires_at = now() WHERE id = ANY($1)', [datasets]);
  await db.query('UPDATE jobs SET expires_at = now(), kept_seconds = 0 WHERE id = ANY($1)', [jobs]);
};

const leaveOrphan: Action = async (store, random) => (await stageText(store, random.pick(TEXTS)!)).publish();

const removing =
  (table: keyof Known, remove: (store: Store, id: string) => Promise<unknown>): Action =>
  async (store, random, known) => {
    const id = random.pick(known[table]);
    if (id !== undefined) await remove(store, id);
  };

const ACTIONS: readonly Action[] = [
  uploadModel,
  uploadModel,
  uploadDataset,
  runJob,
  runJob,
  expire,
  leaveOrphan,
  removing('models', (store, id) => store.models.delete(id)),
  removing('datasets', (store, id) => store.datasets.delete(id)),
  removing('jobs', (store, id) => store.deleteJob(id)),
  removing('models', (store, id) => store.models.keepFor(id, 3600)),
  (store) => store.sweepExpired(),
  (store) => store.sweepExpired(),
  (store) => store.sweepBlobs(),
];

/** Every digest that a row names. */
async function referenced(): Promise<string[]> {
  const { rows } = await db.query<{ digest: string }>(
    'SELECT digest FROM model_files UNION SELECT digest FROM datasets UNION SELECT digest FROM artifact_files ORDER BY 1',
  );
  return rows.map(({ digest }) => digest);
}

async function stored(store: Store): Promise<string[]> {
  const digests: string[] = [];
  for await (const digest of store.blobs.list()) digests.push(digest);
  return digests.toSorted();
}

it('keep every byte that a row names, and none that no row names', async () => {
  const random = seededRandom(SEED);
  const [store] = stores;
  for (let round = 0; round < ROUNDS; round++) {
    const where = `seed ${SEED}, round ${round}`;
    const known = { models: await ids('models'), datasets: await ids('datasets'), jobs: await ids('jobs') };
    const actions = Array.from({ length: ACTIONS_AT_ONCE }, () => random.pick(ACTIONS)!);
    const results = await Promise.allSettled(actions.map((action) => action(random.pick(stores)!, random, known)));
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      const { reason } = result;
      assert.ok(reason instanceof TritforgeError && LOST.includes(reason.code), `${where}: ${reason?.stack ?? reason}`);
    }
    const digests = await referenced();
    for (const digest of digests) {
      assert.ok(await store!.blobs.stat(digest), `${where}: a row has lost its bytes`);
      const bytes = await buffer(store!.blobs.open(digest));
      assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, digest, where);
    }
    await store!.sweepBlobs();
    assert.deepEqual(await stored(store!), digests, where);
  }
  for (const id of await ids('jobs')) await store!.deleteJob(id);
  for (const id of await ids('models')) await store!.models.delete(id);
  for (const id of await ids('datasets')) await store!.datasets.delete(id);
  assert.deepEqual(await stored(store!), []);
  assert.deepEqual(await store!.storageUse(), { models: 0, datasets: 0, artifacts: 0 });
});
