/** Traces by OpenTelemetry, from the request to the webhook. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import type { Job } from '@tritforge/contracts';
import { type CollectedSpan, startCollector, type TestCollector } from '@tritforge/telemetry/testing/collector';
import { Client as Database } from 'pg';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, file, form, json } from './support/http.js';
import { jobEnd } from './support/jobs.js';
import { type Client, clientOf } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const TRACEPARENT = `00-${CALLER.traceId}-${CALLER.spanId}-01`;
/** Names that belong to users. */
const FILE_NAME = 'hush-hush.onnx';
const WEBHOOK_PATH = '/psst';
const WANTED = JSON.stringify({ recipe: { activations: { bits: null } } });

let collector: TestCollector;
let stack: Stack;
let client: Client;
let receiver: Server;
const received: IncomingHttpHeaders[] = [];
/** What each process wrote. */
const logs: string[] = [];
before(async () => {
  collector = await startCollector();
  const env = { ...collector.settings, TRITFORGE_WEBHOOK_TARGETS: 'any', OTEL_SERVICE_NAME: '' };
  stack = await startStack({ env, workers: 1 });
  for (const [index, { stdout }] of [stack.api, ...stack.workers].entries()) {
    stdout!.on('data', (chunk) => {
      logs[index] = `${logs[index] ?? ''}${chunk}`;
    });
  }
  client = await clientOf(stack, 'traced');
  receiver = createServer((request, response) => {
    received.push(request.headers);
    response.writeHead(204).end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
});
after(async () => {
  receiver.close();
  await stack.close();
  await collector.close();
});

const ofTrace = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);
const named = (name: string) => ofTrace(CALLER.traceId).filter((span) => span.name === name);

async function sendJob(headers: Record<string, string>): Promise<Job> {
  const { headers: type, ...request } = form([
    ['model', file(classifier(81), FILE_NAME)],
    ['job', WANTED],
  ]);
  const sent = await client.fetch('/jobs', { ...request, headers: { ...(type as object), ...headers } });
  return jobEnd(client, (await expectJson<Job>(sent, 202)).id);
}

test('a job is one trace, from the request of the caller to the webhook', async () => {
  const { port } = receiver.address() as AddressInfo;
  const webhook = { url: `http://127.0.0.1:${port}${WEBHOOK_PATH}`, eventTypes: ['job.succeeded'] };
  assert.equal((await client.fetch('/webhooks', json(webhook))).status, 201);
  const job = await sendJob({ traceparent: TRACEPARENT, tracestate: 'vendor=opaque', baggage: 'user=alice' });
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  const wanted = ['POST /jobs', 'send jobs', 'process jobs', 'POST webhook'];
  await eventually(async () => wanted.every((name) => named(name).length === 1));

  const [request, send, process, delivery] = wanted.map((name) => named(name)[0]!) as [
    CollectedSpan,
    CollectedSpan,
    CollectedSpan,
    CollectedSpan,
  ];
  assert.deepEqual(
    [request, send, process, delivery].map(({ service, kind, parentSpanId, isError }) => [
      service,
      kind,
      parentSpanId,
      isError,
    ]),
    [
      ['tritforge-api', 2, CALLER.spanId, false],
      ['tritforge-api', 4, request.spanId, false],
      ['tritforge-worker', 5, send.spanId, false],
      ['tritforge-worker', 3, send.spanId, false],
    ],
  );
  assert.deepEqual(process.links, [send.spanId]);
  assert.equal(request.attributes['http.route'], '/jobs');
  assert.equal(request.attributes['http.response.status_code'], 202);
  assert.equal(request.attributes['tritforge.key.id'], client.keyId);
  for (const { attributes } of [send, process]) assert.equal(attributes['messaging.message.id'], job.id);
  assert.equal(process.attributes['tritforge.job.outcome'], 'succeeded');

  const steps = ofTrace(CALLER.traceId).filter(({ parentSpanId }) => parentSpanId === process.spanId);
  steps.sort((left, right) => Number(left.startNs - right.startNs));
  assert.deepEqual(
    steps.map(({ name }) => name),
    ['fetchInputs', ...(await phasesOf(job))],
  );
  assert.equal(ofTrace(CALLER.traceId).length, 4 + steps.length, 'nothing else is part of it');

  const [headers] = received;
  assert.equal(headers!.traceparent, `00-${CALLER.traceId}-${delivery.spanId}-01`);
  assert.deepEqual([headers!.tracestate, headers!.baggage], [undefined, undefined]);
});

/** As the log of events has them. */
async function phasesOf({ id }: Job): Promise<string[]> {
  const db = new Database({ connectionString: stack.databaseUrl });
  await db.connect();
  const { rows } = await db.query<{ phase: string }>(
    `SELECT phase FROM job_events WHERE job_id = $1 AND from_state = 'running' AND to_state = 'running' ORDER BY id`,
    [id],
  );
  await db.end();
  return rows.map(({ phase }) => phase);
}

test('lines of the log say which trace they belong to, on API and worker', async () => {
  const lines = logs
    .flatMap((log) => log.split('\n'))
    .flatMap((line) => (line.includes(CALLER.traceId) ? [JSON.parse(line) as Record<string, unknown>] : []));
  const of = (message: string) => lines.filter(({ msg }) => msg === message).map(({ span_id }) => span_id);
  const [request] = named('POST /jobs');
  for (const message of ['incoming request', 'request completed']) assert.deepEqual(of(message), [request!.spanId]);
  const [process] = named('process jobs');
  for (const message of ['job started', 'job ended']) assert.deepEqual(of(message), [process!.spanId]);
});

test('a request that is refused says its code, and a trace begins where the caller has none', async () => {
  await expectProblem(await client.fetch(`/jobs/job_${'0'.repeat(26)}`), 'JOB_NOT_FOUND');
  await expectProblem(await client.fetch('/jobs', json('{', 'POST')), 'BODY_NOT_JSON');
  const refused = (code: string) =>
    collector.spans.filter(({ attributes }) => attributes['tritforge.error.code'] === code);
  await eventually(async () => refused('BODY_NOT_JSON').length > 0);
  const [lookedUp] = refused('JOB_NOT_FOUND');
  assert.deepEqual([lookedUp!.name, lookedUp!.parentSpanId, lookedUp!.isError], ['GET /jobs/:id', '', false]);
  assert.equal(lookedUp!.attributes['http.response.status_code'], 404);
});

test('a request that the caller does not want recorded is not, and neither is its job', async () => {
  const quiet = { traceId: '1af7651916cd43dd8448eb211c80319c', spanId: CALLER.spanId };
  const job = await sendJob({ traceparent: `00-${quiet.traceId}-${quiet.spanId}-00` });
  assert.equal(job.state, 'succeeded');
  await eventually(async () => received.length === 2);
  assert.match(received[1]!.traceparent as string, new RegExp(`^00-${quiet.traceId}-[0-9a-f]{16}-00$`));
  assert.deepEqual(ofTrace(quiet.traceId), []);
});

test('neither probes nor secrets nor names of users are in traces', async () => {
  await stack.fetch('/health/ready');
  await stack.fetch('/metrics');
  await client.fetch('/jobs?label=team=hush-hush');
  await eventually(async () => collector.spans.some(({ name }) => name === 'GET /jobs'));
  const names = new Set(collector.spans.map(({ name }) => name));
  assert.ok(![...names].some((name) => /health|metrics/.test(name)), [...names].join());
  const sent = Buffer.concat(collector.requests.map(({ body }) => body)).toString();
  for (const secret of [client.secret, client.secret.slice(0, 9), 'hush-hush', WEBHOOK_PATH, 'alice'])
    assert.ok(!sent.includes(secret), secret);
});

test('a collector that never answers changes nothing, and holds up no process that ends', async () => {
  const sockets = new Set<Socket>();
  const silent = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_BSP_SCHEDULE_DELAY: '50' };
  const unheard = await startStack({ env, workers: 1 });
  try {
    const sent = await unheard.fetch(
      '/jobs',
      form([
        ['model', file(classifier(82), 'm.onnx')],
        ['job', WANTED],
      ]),
    );
    const job = await jobEnd(unheard, (await expectJson<Job>(sent, 202)).id);
    assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
    await eventually(async () => sockets.size > 0);
    const processes = [unheard.api, ...unheard.workers];
    const ends = processes.map((child) => once(child, 'exit'));
    const startedMs = performance.now();
    for (const child of processes) child.kill('SIGTERM');
    assert.deepEqual(
      (await Promise.all(ends)).map(([code]) => code),
      [0, 0],
    );
    assert.ok(performance.now() - startedMs < 8000);
  } finally {
    await unheard.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});
