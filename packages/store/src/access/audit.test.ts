import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectDatabase } from '../database.js';
import { openStore } from '../store.js';
import { openTestStore, type TestStore } from '../testing/index.js';
import { AuditWriter } from './audit-writer.js';

const entry = (target: string) => ({
  projectId: null,
  keyId: null,
  action: 'test',
  target,
  status: 200,
  requestId: null,
  address: null,
});
const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);

describe('the audit log', () => {
  let test: TestStore;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());

  const targets = async () => (await test.store.audit.list({ limit: 200 })).items.map(({ target }) => target);

  it('has what was recorded before it is read, whoever waits for it', async () => {
    const recorded = numbers(100).map((target) => test.store.audit.record(entry(target)));
    assert.deepEqual((await targets()).toSorted(), numbers(100).toSorted());
    await Promise.all(recorded);
  });

  it('has the times at which entries came, not those at which they were written', async () => {
    await test.store.audit.record(entry('written at once'));
    const first = test.store.audit.record(entry('first'));
    await sleep(100);
    await Promise.all([first, test.store.audit.record(entry('second'))]);
    const { items } = await test.store.audit.list({ limit: 2 });
    assert.deepEqual(
      items.map(({ target }) => target),
      ['second', 'first'],
    );
    const apartMs = Date.parse(items[0]!.at) - Date.parse(items[1]!.at);
    assert.ok(apartMs >= 90 && apartMs < 250, `${apartMs} ms`);
  });

  it('takes any text', async () => {
    await test.store.audit.record(entry('a\0b\ud800'));
    assert.equal((await targets())[0], 'ab\ufffd');
  });

  it('loses nothing when the store closes', async () => {
    const closing = await openStore({ databaseUrl: test.databaseUrl, blobDir: `${test.dir}/blobs` });
    const recorded = numbers(20).map((target) => closing.audit.record(entry(`closing ${target}`)));
    await closing.close();
    await Promise.all(recorded);
    assert.equal((await targets()).filter((target) => target.startsWith('closing')).length, 20);
  });

  it('says so to everybody whose entry is lost, and goes on', async () => {
    const away = connectDatabase('postgresql://nobody:x@127.0.0.1:1/none');
    const writer = new AuditWriter(away.statements, 3);
    const writes = numbers(4).map((target) => writer.write(entry(target)));
    const codes = (await Promise.allSettled(writes)).map((one) => one.status === 'rejected' && one.reason.code);
    assert.deepEqual(codes, [...Array(3).fill('SERVICE_UNAVAILABLE'), 'SERVICE_OVERLOADED']);
    await assert.rejects(writer.write(entry('later')), { code: 'SERVICE_UNAVAILABLE' });
    await away.$disconnect();
  });
});
