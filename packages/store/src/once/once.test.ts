import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withClient } from '../migrations/database-creation.js';
import { addModel } from '../testing/fixtures.js';
import { openTestStore, type TestStore } from '../testing/index.js';
import type { Answer, OnceClaim } from './once.js';

const ANSWER: Answer = { status: 202, headers: { location: '/jobs/x' }, body: { b: 1, a: [null, 'ä'] } };

describe('requests that are answered once', () => {
  let service: TestStore;
  before(async () => {
    service = await openTestStore();
  });
  after(() => service.close());

  const claim = async (key: string, fingerprint = 'f'): Promise<OnceClaim> => {
    const known = await service.store.once.claim(key, fingerprint);
    assert.ok(known.state === 'claimed', known.state);
    return known.claim;
  };
  /** As if the process that held all claims had gone away, or a day had passed. */
  const later = (interval: string) =>
    withClient(service.databaseUrl, (client) =>
      client.query(
        `UPDATE once_keys SET lease_until = lease_until - interval '${interval}', created_at = created_at - interval '${interval}'`,
      ),
    );
  const jobs = async () => (await service.store.jobs.list()).items.length;

  it('are claimed by one of many that arrive together', async () => {
    const known = await Promise.all(Array.from({ length: 20 }, () => service.store.once.claim('together', 'f')));
    assert.equal(known.filter(({ state }) => state === 'claimed').length, 1);
    assert.equal(known.filter(({ state }) => state === 'running').length, 19);
  });

  it('get the answer that was kept, as it was', async () => {
    await service.store.once.keep(await claim('kept'), ANSWER);
    assert.deepEqual(await service.store.once.claim('kept', 'f'), { state: 'answered', answer: ANSWER });
  });

  it('are told that the key belongs to another request, before and after it was answered', async () => {
    const held = await claim('other');
    assert.equal((await service.store.once.claim('other', 'g')).state, 'other');
    await service.store.once.keep(held, ANSWER);
    assert.equal((await service.store.once.claim('other', 'g')).state, 'other');
  });

  it('can be tried again when they failed', async () => {
    await service.store.once.release(await claim('failed', 'f'));
    await service.store.once.keep(await claim('failed', 'g'), ANSWER);
  });

  it('keep their answer when a claim on it is released too late', async () => {
    const held = await claim('late');
    await service.store.once.keep(held, ANSWER);
    await service.store.once.release(held);
    assert.equal((await service.store.once.claim('late', 'f')).state, 'answered');
  });

  it('say since when their key was claimed, also to who takes them over', async () => {
    const gone = await claim('since');
    await later('1 minute');
    const taken = await claim('since');
    assert.notEqual(taken.token, gone.token);
    assert.equal(gone.since.getTime() - taken.since.getTime(), 60_000);
    assert.deepEqual([await service.store.once.renew(gone), await service.store.once.renew(taken)], [false, true]);
  });

  it('make a webhook, and change its secret, together with the answer that shows the secret', async () => {
    const { webhooks } = service.store;
    const request = { url: 'https://example.com/' };
    const gone = await claim('webhook');
    await later('1 minute');
    const taken = { claim: await claim('webhook'), answerOf: (body: object): Answer => ({ ...ANSWER, body }) };
    const late = { claim: gone, answerOf: () => ANSWER };
    await assert.rejects(webhooks.create(request, late), { code: 'IDEMPOTENCY_IN_PROGRESS' });
    assert.deepEqual((await webhooks.list()).items, []);
    const made = await webhooks.create(request, taken);
    const known = await service.store.once.claim('webhook', 'f');
    assert.deepEqual(known.state === 'answered' && known.answer.body, made);
    await assert.rejects(webhooks.rotate(made.id, late), { code: 'IDEMPOTENCY_IN_PROGRESS' });
    await webhooks.rotate(made.id, { ...taken, claim: await claim('rotation') });
    const secrets = await withClient(service.databaseUrl, (client) =>
      client.query('SELECT former_secret FROM webhooks WHERE id = $1', [made.id]),
    );
    assert.deepEqual(secrets.rows, [{ former_secret: made.secret }]);
  });

  it('make a job together with the answer that shows it, with the times that the database sets', async () => {
    const { store } = service;
    const { id: modelId } = await addModel(store, 'answered');
    const answerOf = (body: object): Answer => ({ ...ANSWER, body });
    const wanted = { modelId, recipe: { method: 'fgq' as const }, labels: { a: 'b' } };
    for (const times of [{}, { startWithinSeconds: 60 }, { startWithinSeconds: 60, expiresInSeconds: 3600 }]) {
      const key = JSON.stringify(times);
      const made = await store.submitJob({ ...wanted, ...times }, { claim: await claim(key), answerOf });
      assert.deepEqual(await store.once.claim(key, 'f'), { state: 'answered', answer: answerOf(made) });
      assert.deepEqual(await store.jobs.get(made.id), made);
    }
  });

  it('are taken over from a process that is gone, which can keep nothing any more', async () => {
    const { id: modelId } = await addModel(service.store, 'taken over');
    const gone = await claim('gone');
    await later('1 minute');
    const taken = await claim('gone');
    const before = await jobs();
    const answerOf = () => ANSWER;
    const submit = (held: OnceClaim) => service.store.submitJob({ modelId, recipe: {} }, { claim: held, answerOf });
    await assert.rejects(submit(gone), { code: 'IDEMPOTENCY_IN_PROGRESS' });
    assert.equal(await jobs(), before, 'the job went away with the answer');
    await submit(taken);
    await assert.rejects(submit(taken), { code: 'IDEMPOTENCY_IN_PROGRESS' });
    assert.equal(await jobs(), before + 1);
    assert.equal((await service.store.once.claim('gone', 'f')).state, 'answered');
  });

  it('are not taken over from a process that renews its claim', async () => {
    const held = await claim('renewed');
    await later('14 seconds');
    await service.store.once.renew(held);
    await sleep(1500);
    assert.equal((await service.store.once.claim('renewed', 'f')).state, 'running');
  });

  it('are forgotten after a day', async () => {
    await service.store.once.keep(await claim('old'), ANSWER);
    await later('23 hours');
    assert.equal((await service.store.once.claim('old', 'f')).state, 'answered');
    await later('61 minutes');
    await service.store.once.keep(await claim('old', 'another request'), ANSWER);
    await later('25 hours');
    assert.ok((await service.store.sweepRequests()) > 0);
    assert.equal(await service.store.sweepRequests(), 0);
  });

  it('of two projects may have the same key', async () => {
    const { id } = await service.store.projects.create('other');
    const other = service.store.inProject(id);
    await service.store.once.keep(await claim('shared'), ANSWER);
    assert.equal((await other.once.claim('shared', 'f')).state, 'claimed');
  });
});
