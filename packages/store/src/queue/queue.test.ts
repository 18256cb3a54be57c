import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { newId } from '@tritforge/contracts';
import { startTestDatabase, type TestDatabase } from '../testing/index.js';
import { startTestRedis } from '../testing/redis-server.js';
import type { QueueConfig } from './backend.js';
import { openQueue } from './bull-queue.js';
import type { ConsumeOptions, Consumer, Delivery, JobQueue } from './job-queue.js';

const HANGING_CONSUMER = fileURLToPath(new URL('../testing/hanging-consumer.js', import.meta.url));
const WAIT_TIMEOUT_MS = 15_000;
const TIMING = { lockMs: 600, readyMs: 10_000, answerMs: 5_000 };

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const giveUpMs = performance.now() + WAIT_TIMEOUT_MS;
  while (!(await condition())) {
    assert.ok(performance.now() < giveUpMs, `timed out waiting until ${what}`);
    await sleep(10);
  }
}

const recordIn =
  (delivered: string[]) =>
  async (jobId: string): Promise<Delivery> => {
    delivered.push(jobId);
    return 'done';
  };

/** The behaviour of every backend. */
function queueContract(configure: () => QueueConfig): void {
  let queue: JobQueue;
  let consumers: Consumer[];
  let tests = 0;
  let config: QueueConfig;

  const fresh = async (): Promise<void> => {
    config = { ...configure(), prefix: `test${tests++}`, timing: TIMING };
    queue = await openQueue(config);
    consumers = [];
  };
  const consume = async (options: Partial<ConsumeOptions> & Pick<ConsumeOptions, 'handler'>): Promise<Consumer> => {
    const consumer = await queue.consume({ concurrency: 1, ...options });
    consumers.push(consumer);
    return consumer;
  };
  const finish = async (): Promise<void> => {
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await queue.close();
  };
  const test = (name: string, body: () => Promise<void>): void => {
    it(name, { timeout: 2 * WAIT_TIMEOUT_MS }, async () => {
      await fresh();
      try {
        await body();
      } finally {
        await finish();
      }
    });
  };

  test('delivers job ids in the order in which they were added, once each', async () => {
    const ids = Array.from({ length: 20 }, () => newId('job'));
    const delivered: string[] = [];
    for (const id of ids) await queue.add(id);
    await consume({ handler: recordIn(delivered) });
    await until(() => delivered.length >= ids.length, 'all jobs were delivered');
    await sleep(50);
    assert.deepEqual(delivered, ids);
    assert.deepEqual(await queue.counts(), { waiting: 0, active: 0 });
  });

  test('keeps one entry when a job is added again, and takes it again once it is done', async () => {
    const id = newId('job');
    let deliveries = 0;
    await Promise.all(Array.from({ length: 10 }, () => queue.add(id)));
    assert.deepEqual(await queue.counts(), { waiting: 1, active: 0 });
    const consumer = await consume({
      handler: async () => {
        deliveries++;
        await queue.add(id);
        return 'done';
      },
    });
    await until(() => deliveries === 1, 'the job was delivered');
    await until(async () => (await queue.counts()).active === 0, 'the delivery was over');
    await consumer.close();
    consumers = [];
    assert.equal(deliveries, 1);
    await queue.add(id);
    assert.deepEqual(await queue.counts(), { waiting: 1, active: 0 });
  });

  test('puts a job that comes back before the others', async () => {
    const [first, second, returning] = [newId('job'), newId('job'), newId('job')];
    await queue.add(first);
    await queue.add(second);
    await queue.add(returning, { first: true });
    const delivered: string[] = [];
    await consume({ handler: recordIn(delivered) });
    await until(() => delivered.length === 3, 'all jobs were delivered');
    assert.deepEqual(delivered, [returning, first, second]);
  });

  test('takes a waiting job off the queue and leaves one that is being handled', async () => {
    const [busy, waiting] = [newId('job'), newId('job')];
    const delivered: string[] = [];
    const gate = withResolvers();
    await queue.add(busy);
    await consume({
      handler: async (id) => {
        delivered.push(id);
        await gate.promise;
        return 'done';
      },
    });
    await until(() => delivered.length === 1, 'the first job was delivered');
    await queue.add(waiting);
    await queue.remove(waiting);
    await queue.remove(busy);
    await queue.remove(newId('job'));
    assert.deepEqual(await queue.counts(), { waiting: 0, active: 1 });
    gate.resolve();
    await until(async () => (await queue.counts()).active === 0, 'the first job was done');
    assert.deepEqual(delivered, [busy]);
  });

  test('runs as many handlers at once as it is told to', async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    await consume({
      concurrency: 3,
      handler: async () => {
        most = Math.max(most, ++running);
        await sleep(40);
        running--;
        done++;
        return 'done';
      },
    });
    await Promise.all(Array.from({ length: 9 }, () => queue.add(newId('job'))));
    await until(() => done === 9, 'all jobs were done');
    assert.equal(most, 3);
  });

  test('delivers a job again when its handler asks for it', async () => {
    let deliveries = 0;
    await queue.add(newId('job'));
    await consume({ handler: async () => (++deliveries < 3 ? 'again' : 'done') });
    await until(() => deliveries === 3, 'the job was delivered three times');
    await until(async () => (await queue.counts()).active === 0, 'the last delivery was over');
    assert.deepEqual(await queue.counts(), { waiting: 0, active: 0 });
  });

  test('reports a handler that throws and goes on with the next job', async () => {
    const errors: string[] = [];
    let deliveries = 0;
    const [bad, good] = [newId('job'), newId('job')];
    await queue.add(bad);
    await queue.add(good);
    await consume({
      onError: (error) => void errors.push(error.message),
      handler: async (id) => {
        deliveries++;
        if (id === bad) throw new Error('broken handler');
        return 'done';
      },
    });
    await until(() => deliveries === 2, 'both jobs were delivered');
    await until(() => errors.length > 0, 'the error was reported');
    assert.ok(errors.includes('broken handler'), errors.join());
    await until(async () => (await queue.counts()).active === 0, 'nothing was left');
    await queue.add(bad);
    await until(() => deliveries === 3, 'the job could be added again');
  });

  test('waits on close for handlers, whose signal aborts, and gives the job to another consumer', async () => {
    const id = newId('job');
    let begun = false;
    let handedBack = false;
    await queue.add(id);
    const closing = await consume({
      handler: async (_, signal) => {
        begun = true;
        await once(signal, 'abort');
        await sleep(50);
        handedBack = true;
        return 'again';
      },
    });
    await until(() => begun, 'the job was being handled');
    await closing.close();
    assert.equal(handedBack, true);
    const delivered: string[] = [];
    await consume({ handler: recordIn(delivered) });
    await until(() => delivered.length === 1, 'the job was delivered again');
    assert.deepEqual(delivered, [id]);
  });

  test('delivers the job of a killed worker to another one', async () => {
    const id = newId('job');
    const child = spawn(process.execPath, [HANGING_CONSUMER, JSON.stringify(config)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await queue.add(id);
    const ended = once(child, 'exit');
    const delivered: string[] = [];
    try {
      const [line] = (await Promise.race([once(child.stdout, 'data'), ended])) as [Buffer];
      assert.equal(line.toString().trim(), id);
      await consume({ handler: recordIn(delivered) });
      await sleep(900);
      assert.deepEqual(delivered, [], 'a living worker keeps its job');
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    await until(() => delivered.length === 1, 'the job was delivered again');
    assert.deepEqual(delivered, [id]);
  });

  test('answers a ping', () => queue.ping());
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const redis = await startTestRedis();

describe('the queue', { concurrency: true }, () => {
  describe('on PostgreSQL', { concurrency: false }, () => {
    let database: TestDatabase;
    before(async () => {
      database = await startTestDatabase();
    });
    after(() => database.close());
    queueContract(() => ({ databaseUrl: database.databaseUrl, redisUrl: null, prefix: '' }));
  });

  describe('on Redis', { concurrency: false, skip: typeof redis === 'string' && redis }, () => {
    after(() => (typeof redis === 'string' ? undefined : redis.close()));
    queueContract(() => ({ databaseUrl: '', redisUrl: typeof redis === 'string' ? '' : redis.redisUrl, prefix: '' }));
  });

  describe('whose server is away', () => {
    for (const [backend, config] of Object.entries({
      PostgreSQL: { databaseUrl: 'postgresql://nobody:x@127.0.0.1:1/none', redisUrl: null },
      Redis: { databaseUrl: '', redisUrl: 'redis://127.0.0.1:1' },
    })) {
      it(`says so when it opens, with ${backend}`, async () => {
        await assert.rejects(openQueue({ ...config, prefix: 'away', timing: { ...TIMING, readyMs: 300 } }), {
          code: 'SERVICE_UNAVAILABLE',
        });
      });
    }
  });
});
