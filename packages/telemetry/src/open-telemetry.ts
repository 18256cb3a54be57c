/** The only place that knows the library. Headers, sampler, timeouts and limits it reads from its standard variables itself. */
import { hostname } from 'node:os';
import { pid } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Span as ApiSpan,
  SpanKind as ApiSpanKind,
  type Context,
  DiagLogLevel,
  defaultTextMapGetter,
  defaultTextMapSetter,
  diag,
  ROOT_CONTEXT,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { TraceContext } from '@tritforge/contracts';
import type { Attributes, Span, SpanKind, SpanOptions } from './span.js';
import type { Process, Protocol, Telemetry } from './telemetry.js';

const KINDS: Readonly<Record<SpanKind, ApiSpanKind>> = {
  internal: ApiSpanKind.INTERNAL,
  server: ApiSpanKind.SERVER,
  client: ApiSpanKind.CLIENT,
  producer: ApiSpanKind.PRODUCER,
  consumer: ApiSpanKind.CONSUMER,
};
/** Baggage is not passed on: it is what callers say to each other, and webhooks would carry it to strangers. */
const propagator = new W3CTraceContextPropagator();
const CLOSE_MS = 2000;
/** A collector that is away fails every batch. */
const PROBLEM_INTERVAL_MS = 60_000;

/** Traces what the process does and sends it in batches, in the background. */
export async function openTelemetry(protocol: Protocol, process: Process): Promise<Telemetry> {
  const tell = nowAndThen(process.onProblem);
  diag.setLogger(
    { error: joined(process.onProblem), warn: joined(tell), info: () => {}, debug: () => {}, verbose: () => {} },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler((error) => tell('traces could not be delivered', error));
  const provider = new BasicTracerProvider({
    resource: resourceOf(process),
    spanProcessors: [new BatchSpanProcessor(await openExporter(protocol))],
  });
  const tracer = provider.getTracer('tritforge', process.version);
  return {
    isOn: true,
    begin: (name, parent, options) => new TracedSpan(tracer, name, contextOf(parent), options),
    close: async () => {
      const closed = provider.shutdown().catch((error: unknown) => tell('traces could not be delivered', error));
      await Promise.race([closed, sleep(CLOSE_MS, undefined, { ref: false })]);
    },
  };
}

async function openExporter(protocol: Protocol): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter();
}

/** Not what the library can find out of the process: its arguments and its user are nobody's business. */
function resourceOf({ serviceName, version }: Process): Resource {
  return defaultResource()
    .merge(
      resourceFromAttributes({
        'service.name': serviceName,
        'service.version': version,
        'service.instance.id': `${hostname()}-${pid}`,
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }));
}

function contextOf(parent: TraceContext | null): Context {
  return parent === null ? ROOT_CONTEXT : propagator.extract(ROOT_CONTEXT, parent, defaultTextMapGetter);
}

class TracedSpan implements Span {
  readonly #tracer: Tracer;
  readonly #span: ApiSpan;
  readonly #within: Context;

  constructor(tracer: Tracer, name: string, parent: Context, { kind = 'internal', attributes = {} }: SpanOptions = {}) {
    this.#tracer = tracer;
    // Conventions want consumers to name what they consume as a link also where it is their parent.
    const origin = kind === 'consumer' ? trace.getSpanContext(parent) : undefined;
    const links = origin === undefined ? [] : [{ context: origin }];
    this.#span = tracer.startSpan(name, { kind: KINDS[kind], attributes: { ...attributes }, links }, parent);
    this.#within = trace.setSpan(parent, this.#span);
  }

  get context(): TraceContext | null {
    const carrier: { traceparent?: string; tracestate?: string } = {};
    propagator.inject(this.#within, carrier, defaultTextMapSetter);
    const { traceparent, tracestate } = carrier;
    return traceparent === undefined ? null : { traceparent, ...(tracestate && { tracestate }) };
  }

  get logFields(): Readonly<Record<string, string>> {
    const { traceId, spanId } = this.#span.spanContext();
    return { trace_id: traceId, span_id: spanId };
  }

  begin(name: string, options?: SpanOptions): Span {
    return new TracedSpan(this.#tracer, name, this.#within, options);
  }

  rename(name: string): void {
    this.#span.updateName(name);
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes({ ...attributes });
  }

  fail(code: string): void {
    this.#span.setAttributes({ 'error.type': code });
    this.#span.setStatus({ code: SpanStatusCode.ERROR });
  }

  end(): void {
    this.#span.end();
  }
}

/** Parts of the library say their name before what they have to say. */
function joined(tell: Process['onProblem']): (...parts: unknown[]) => void {
  return (...parts) =>
    tell(
      parts.filter((part) => typeof part === 'string').join(': '),
      parts.find((part) => part instanceof Error),
    );
}

/** The first time and then once in a while. */
function nowAndThen(tell: Process['onProblem']): Process['onProblem'] {
  let toldMs = Number.NEGATIVE_INFINITY;
  return (message, error) => {
    if (performance.now() - toldMs < PROBLEM_INTERVAL_MS) return;
    toldMs = performance.now();
    tell(message, error);
  };
}
