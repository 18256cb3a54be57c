import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres/index.js';
import { deployMigrations } from './migrations/index.js';
import { openStore, type Store } from './store.js';
import { addModel } from './testing/fixtures.js';
import { makeTestDir } from './testing/index.js';

const WAIT_TIMEOUT_MS = 20_000;

describe('a store whose database is killed', () => {
  let dir: string;
  let postgres: EmbeddedPostgres;
  let store: Store;
  // A folder name that needs quoting, on the way to the server's start.
  const startServer = () => startEmbeddedPostgres({ dataDir: `${dir}/user's data/postgres`, ephemeral: true });

  before(async () => {
    dir = await makeTestDir();
    postgres = await startServer();
    const databaseUrl = postgres.databaseUrl('tritforge');
    await deployMigrations(databaseUrl);
    store = await openStore({ databaseUrl, blobDir: `${dir}/blobs` });
  });
  after(async () => {
    await store.close();
    await postgres.destroy();
    await rm(dir, { recursive: true, force: true });
  });

  it('goes on with the same rows, queue and consumers once the server is back', async () => {
    const model = await addModel(store, 'a model that stays');
    const delivered: string[] = [];
    const consumer = await store.queue.consume({
      concurrency: 1,
      handler: async (jobId) => {
        delivered.push(jobId);
        return 'done';
      },
    });
    process.kill(postgres.pid, 'SIGKILL');
    await sleep(100);
    assert.deepEqual(
      (await store.ping()).map(({ ok }) => ok),
      [false, false, true],
    );
    postgres = await startServer();
    assert.equal(postgres.reused, false);
    const job = await store.submitJob({ modelId: model.id, recipe: {} });
    const giveUpMs = performance.now() + WAIT_TIMEOUT_MS;
    while (delivered.length === 0 && performance.now() < giveUpMs) await sleep(20);
    assert.deepEqual(delivered, [job.id]);
    assert.deepEqual(await store.models.get(model.id), model);
    await consumer.close();
  });
});
