import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectDatabase } from '../database.js';
import { withClient } from '../migrations/database-creation.js';
import { ALL_PROJECTS } from '../repositories/reach.js';
import { addModel } from '../testing/fixtures.js';
import { openTestStore, type TestStore } from '../testing/index.js';
import { createJobDesk } from './create-job-repository.js';
import { QueueOutlook } from './queue-outlook.js';

describe('the places of queued jobs', () => {
  let service: TestStore;
  let modelId: string;
  before(async () => {
    service = await openTestStore();
    modelId = (await addModel(service.store, 'a model')).id;
  });
  after(() => service.close());

  const waiting = (count: number) => {
    const rows = `SELECT 'job_' || lpad(i::text, 26, '0'), project_id, $1, '{}' FROM models, generate_series(1, ${count}) AS i`;
    return withClient(service.databaseUrl, async (client) => {
      await client.query('DELETE FROM jobs');
      await client.query(`INSERT INTO jobs (id, project_id, model_id, recipe) ${rows}`, [modelId]);
    });
  };
  const idOf = (place: number) => `job_${String(place).padStart(26, '0')}`;
  /** One that keeps what it has found for a minute, and one that asks anew. */
  const withDesks = async (work: (keeps: Desk, asks: Desk) => Promise<void>) => {
    const db = connectDatabase(service.databaseUrl);
    try {
      const [keeps, asks] = [60_000, 0].map((keptMs) => createJobDesk(db, new QueueOutlook(db, keptMs), ALL_PROJECTS));
      await work(keeps!, asks!);
    } finally {
      await db.$disconnect();
    }
  };
  type Desk = ReturnType<typeof createJobDesk>;
  const placeOf = async (desk: Desk, id: string) => (await desk.get(id))!.queuePosition;

  it('are of one look for all who ask where a thousand wait', async () => {
    await waiting(1000);
    await withDesks(async (keeps, asks) => {
      assert.equal(await placeOf(keeps, idOf(1000)), 1000);
      const later = await keeps.create({ modelId, recipe: {} });
      assert.equal(later.queuePosition, null);
      await keeps.cancel(idOf(1));
      assert.equal(await placeOf(keeps, idOf(1)), null);
      assert.deepEqual([await placeOf(keeps, idOf(1000)), await placeOf(keeps, later.id)], [1000, null]);
      assert.deepEqual([await placeOf(asks, idOf(1000)), await placeOf(asks, later.id)], [999, 1000]);
    });
  });

  it('are not looked for by those who send jobs while hundreds wait', async () => {
    await waiting(300);
    await withDesks(async (_, asks) => {
      const [first, second] = [await asks.create({ modelId, recipe: {} }), await asks.create({ modelId, recipe: {} })];
      assert.deepEqual([first.queuePosition, second.queuePosition], [301, null]);
      assert.equal(await placeOf(asks, first.id), 301);
    });
  });

  it('are as of now where fewer wait', async () => {
    await waiting(10);
    await withDesks(async (keeps) => {
      assert.equal(await placeOf(keeps, idOf(10)), 10);
      await keeps.cancel(idOf(1));
      assert.equal(await placeOf(keeps, idOf(10)), 9);
      assert.equal((await keeps.create({ modelId, recipe: {} })).queuePosition, 10);
    });
  });
});
