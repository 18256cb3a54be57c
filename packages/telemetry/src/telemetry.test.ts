import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { TritforgeError } from '@tritforge/contracts';
import { TELEMETRY_SETTINGS, type TelemetryConfig } from './settings.js';
import { NO_SPAN, within } from './span.js';
import { NO_TELEMETRY, startTelemetry, type Telemetry } from './telemetry.js';
import { startCollector, type TestCollector } from './testing/collector.js';

const execute = promisify(execFile);
const OFF = Object.fromEntries(
  Object.entries(TELEMETRY_SETTINGS).map(([key, { fallback }]) => [key, fallback]),
) as unknown as TelemetryConfig;
const CALLER = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'vendor=x' };

const start = (config: Partial<TelemetryConfig>, problems: string[] = []): Promise<Telemetry> =>
  startTelemetry(
    { ...OFF, ...config },
    { serviceName: 'test', version: '1', onProblem: (message) => void problems.push(message) },
  );

describe('telemetry', () => {
  let collector: TestCollector;
  before(async () => {
    collector = await startCollector();
    // The library reads where to send to from its variables.
    Object.assign(process.env, collector.settings, { OTEL_RESOURCE_ATTRIBUTES: 'service.name=mine' });
  });
  after(() => collector.close());

  test('is nothing where there is no collector, or where it is not wanted', async () => {
    const otlpEndpoint = collector.endpoint;
    for (const config of [{}, { otlpEndpoint, isOtelDisabled: true }, { otlpEndpoint, tracesExporter: 'none' }])
      assert.equal(await start(config), NO_TELEMETRY);
    const span = NO_TELEMETRY.begin('x', CALLER);
    assert.equal(span.begin('y'), NO_SPAN);
    assert.deepEqual([span.context, span.logFields], [null, {}]);
  });

  test('loads nothing of the library where it is off', async () => {
    const index = new URL('./index.js', import.meta.url).href;
    const loadedWith = async (config: TelemetryConfig) => {
      const code = `import { createRequire } from 'node:module';
        import { startTelemetry } from '${index}';
        await startTelemetry(${JSON.stringify(config)}, { serviceName: 'x', version: '1', onProblem: () => {} });
        const loaded = Object.keys(createRequire('${index}').cache);
        console.log(loaded.filter((file) => file.includes('opentelemetry')).length);`;
      return Number((await execute(process.execPath, ['--input-type=module', '--eval', code])).stdout);
    };
    assert.equal(await loadedWith(OFF), 0);
    assert.ok((await loadedWith({ ...OFF, otlpEndpoint: collector.endpoint })) > 0);
  });

  test('says which setting it cannot follow', async () => {
    const otlpEndpoint = collector.endpoint;
    await assert.rejects(start({ otlpEndpoint, otlpProtocol: 'grpc' }), {
      message: 'OTEL_EXPORTER_OTLP_PROTOCOL is "grpc" and must be http/protobuf or http/json',
    });
    await assert.rejects(
      start({ otlpEndpoint, otlpTracesProtocol: 'grpc' }),
      /^Error: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL/,
    );
    await assert.rejects(start({ otlpEndpoint, tracesExporter: 'zipkin' }), /^Error: OTEL_TRACES_EXPORTER is "zipkin"/);
    assert.throws(() => TELEMETRY_SETTINGS.otlpEndpoint.parse('localhost:4317'), /http:\/\//);
  });

  test('goes on with the trace of the caller, and lets others go on with it', async () => {
    const telemetry = await start({ otlpEndpoint: collector.endpoint, otlpProtocol: 'http/json' });
    const server = telemetry.begin('GET', CALLER, { kind: 'server', attributes: { 'http.request.method': 'GET' } });
    server.rename('GET /jobs');
    const sent = server.begin('send', { kind: 'producer' });
    const processed = telemetry.begin('process', sent.context, { kind: 'consumer' });
    for (const span of [processed, sent, server]) span.end();
    await telemetry.close();
    assert.equal(sent.context?.tracestate, CALLER.tracestate);
    const [process, send, get] = ['process', 'send', 'GET /jobs'].map(
      (name) => collector.spans.find((span) => span.name === name)!,
    );
    assert.deepEqual(
      [get!, send!, process!].map(({ traceId, parentSpanId, kind, links }) => [traceId, parentSpanId, kind, links]),
      [
        [CALLER.traceparent.slice(3, 35), 'b7ad6b7169203331', 2, []],
        [get!.traceId, get!.spanId, 4, []],
        [get!.traceId, send!.spanId, 5, [send!.spanId]],
      ],
    );
    assert.equal(get!.service, 'mine', 'OTEL_RESOURCE_ATTRIBUTES holds');
    assert.deepEqual(server.logFields, { trace_id: get!.traceId, span_id: get!.spanId });
    assert.equal(get!.attributes['http.request.method'], 'GET');
  });

  test('begins a trace where the caller has none, or none that is valid', async () => {
    const telemetry = await start({ otlpEndpoint: collector.endpoint, otlpProtocol: 'http/json' });
    for (const traceparent of ['', 'x', '00-00000000000000000000000000000000-b7ad6b7169203331-01', 'ff'.repeat(5000)]) {
      const { context } = telemetry.begin('alone', { traceparent });
      assert.match(context!.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    }
    // Whoever calls may say that it is not to be recorded.
    const quiet = telemetry.begin('quiet', { traceparent: CALLER.traceparent.replace(/1$/, '0') });
    assert.match(quiet.context!.traceparent, /-00$/);
    quiet.end();
    await telemetry.close();
    assert.ok(!collector.spans.some(({ name }) => name === 'quiet'));
  });

  test('tells errors by their codes, and nothing of their messages', async () => {
    const telemetry = await start({ otlpEndpoint: collector.endpoint, otlpProtocol: 'http/json' });
    const refused = new TritforgeError('MODEL_NOT_FOUND', 'There is no secret.onnx');
    for (const [name, error] of [['refused', refused] as const, ['broken', new Error('secret password')] as const]) {
      const span = telemetry.begin(name, null);
      await assert.rejects(
        within(span, async () => Promise.reject(error)),
        error,
      );
    }
    await telemetry.close();
    const failed = collector.spans.filter(({ name }) => name === 'refused' || name === 'broken');
    assert.deepEqual(
      failed.map(({ isError, attributes }) => [isError, attributes['error.type']]),
      [
        [true, 'MODEL_NOT_FOUND'],
        [true, 'INTERNAL'],
      ],
    );
    assert.ok(!collector.requests.some(({ body }) => body.includes('secret')));
  });

  test('speaks protobuf unless told otherwise', async () => {
    const telemetry = await start({ otlpEndpoint: collector.endpoint });
    telemetry.begin('in protobuf', null).end();
    await telemetry.close();
    const { path, headers, body } = collector.requests.at(-1)!;
    assert.deepEqual([path, headers['content-type']], ['/v1/traces', 'application/x-protobuf']);
    assert.ok(body.includes('in protobuf'));
  });

  test('closes in time, without an error, where nobody listens', async () => {
    process.env.OTEL_EXPORTER_OTLP_ENDPOINT = 'http://127.0.0.1:1';
    const problems: string[] = [];
    const telemetry = await start({ otlpEndpoint: 'http://127.0.0.1:1' }, problems);
    for (let index = 0; index < 5000; index++) telemetry.begin('lost', null).end();
    const startedMs = performance.now();
    await telemetry.close();
    assert.ok(performance.now() - startedMs < 4000);
    assert.ok(problems.length <= 2, problems.join('\n'));
  });
});
