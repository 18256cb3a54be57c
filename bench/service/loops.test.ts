import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { closedLoop } from './closed-loop.js';
import type { LoadRequest } from './load-request.js';
import { openLoop } from './open-loop.js';

const GET: LoadRequest = { method: 'GET', path: '/', headers: {}, statuses: [200] };

async function withServer<T>(listener: RequestListener, work: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Stands still in the middle: answers what comes within that time when it is over. */
function standingStill(fromMs: number, untilMs: number): RequestListener {
  let startMs: number | null = null;
  return (_, response) => {
    startMs ??= performance.now();
    const sinceMs = performance.now() - startMs;
    setTimeout(() => response.end('{}'), sinceMs >= fromMs && sinceMs < untilMs ? untilMs - sinceMs : 0);
  };
}

test('requests at a rate leave on schedule, and wait for a service that stands still', async () => {
  await withServer(standingStill(400, 900), async (url) => {
    const load = {
      kind: 'open',
      urls: [url],
      requests: [GET],
      perSecond: 100,
      seconds: 1.3,
      warmUpSeconds: 0,
    } as const;
    const { answered, latencies, failures } = await openLoop(load);
    assert.equal(answered, 130);
    assert.deepEqual(failures, {});
    assert.ok(latencies!.maxMs > 450, `the longest took ${latencies!.maxMs} ms`);
    // 50 of 130 requests fall into the half second, and wait for 250 ms on average: a client that waits for answers would have sent one.
    assert.ok(latencies!.p99Ms > 400, `p99 is ${latencies!.p99Ms} ms`);
  });
});

test('connections that wait for answers send what they can, and count what is not as it was meant', async () => {
  let seen = 0;
  const listener: RequestListener = (_, response) => {
    response.statusCode = seen++ % 2 === 0 ? 200 : 503;
    response.end('{"code":"SERVICE_OVERLOADED"}');
  };
  await withServer(listener, async (url) => {
    const requests = Array.from({ length: 40 }, () => GET);
    const { answered, failures } = await closedLoop({
      kind: 'closed',
      urls: [url],
      requests,
      connections: 4,
      during: 'once',
    });
    assert.equal(seen, 40);
    assert.equal(answered, 20);
    assert.deepEqual(failures, { '503 SERVICE_OVERLOADED': 20 });
  });
});

test('what is counted begins behind the warm-up', async () => {
  await withServer(standingStill(0, 200), async (url) => {
    const during = { seconds: 0.3, warmUpSeconds: 0.3 };
    const load = { kind: 'closed', urls: [url], requests: [GET], connections: 2, during } as const;
    const { latencies, warmUpFailures } = await closedLoop(load);
    assert.deepEqual(warmUpFailures, {});
    assert.ok(latencies!.maxMs < 150, `the longest took ${latencies!.maxMs} ms`);
  });
});

test('jobs that were created are known by their ids, each with a key of its own', async () => {
  const keys = new Set<string>();
  const listener: RequestListener = ({ headers }, response) => {
    keys.add(String(headers['idempotency-key']));
    response.statusCode = 202;
    response.end(`{"id":"job_${keys.size}"}`);
  };
  await withServer(listener, async (url) => {
    const create: LoadRequest = {
      method: 'POST',
      path: '/jobs',
      headers: {},
      body: '{}',
      statuses: [202],
      createsJob: true,
    };
    const load = {
      kind: 'open',
      urls: [url],
      requests: [create],
      perSecond: 100,
      seconds: 0.1,
      warmUpSeconds: 0.1,
    } as const;
    const { answered, jobIds } = await openLoop(load);
    assert.deepEqual([answered, jobIds.length, keys.size], [10, 20, 20]);
  });
});

test('a body of another digest is a failure, and so is a service that is away', async () => {
  await withServer(
    (_, response) => response.end('other bytes'),
    async (url) => {
      const requests = [{ ...GET, digest: 'sha256:00' }];
      const once = { kind: 'closed', connections: 1, during: 'once' } as const;
      assert.deepEqual((await closedLoop({ ...once, urls: [url], requests })).failures, { 'wrong digest': 1 });
      const away = await closedLoop({ ...once, urls: ['http://127.0.0.1:1'], requests });
      assert.deepEqual([away.failures, away.latencies], [{ ECONNREFUSED: 1 }, null]);
    },
  );
});

test('what is refused during the warm-up is counted by itself', async () => {
  const refusingAtFirst = (): RequestListener => {
    let startMs: number | null = null;
    return (_, response) => {
      startMs ??= performance.now();
      response.statusCode = performance.now() - startMs < 150 ? 503 : 200;
      response.end('{"code":"SERVICE_OVERLOADED"}');
    };
  };
  const timing = { seconds: 0.3, warmUpSeconds: 0.3 };
  const load = { requests: [GET], ...timing } as const;
  const results = [
    await withServer(refusingAtFirst(), (url) => openLoop({ kind: 'open', urls: [url], perSecond: 100, ...load })),
    await withServer(refusingAtFirst(), (url) =>
      closedLoop({ kind: 'closed', urls: [url], requests: [GET], connections: 2, during: timing }),
    ),
  ];
  for (const { failures, warmUpFailures } of results) {
    assert.deepEqual(failures, {});
    assert.ok(warmUpFailures['503 SERVICE_OVERLOADED']! > 0);
  }
});
