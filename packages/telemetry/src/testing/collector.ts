import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** A span as a collector gets it. Ids are hexadecimal, `parentSpanId` is empty where there is none. */
export interface CollectedSpan {
  /** Of the process: `service.name`. */
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  /** By the numbers of OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** Whether it failed. */
  readonly isError: boolean;
  /** Ids of the spans that it is linked to. */
  readonly links: readonly string[];
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** A request that a collector got. */
export interface CollectedRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** A collector of OTLP over HTTP on loopback. It understands the JSON encoding, and keeps what comes in another one as it is. */
export interface TestCollector {
  readonly endpoint: string;
  /** Environment variables that make a service send its traces there, soon. */
  readonly settings: Readonly<Record<string, string>>;
  readonly spans: readonly CollectedSpan[];
  readonly requests: readonly CollectedRequest[];
  close(): Promise<void>;
}

/** The parts of the JSON encoding that tests look at. */
interface TracesRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly JsonSpan[] }[];
  }[];
}

interface KeyValue {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly boolValue?: boolean; readonly intValue?: number | string };
}

interface JsonSpan extends Pick<CollectedSpan, 'name' | 'traceId' | 'spanId' | 'kind'> {
  readonly parentSpanId?: string;
  readonly attributes: readonly KeyValue[];
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly links?: readonly { readonly spanId: string }[];
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
}

const JSON_TYPE = 'application/json';
const STATUS_ERROR = 2;
const SOON_MS = 100;

export async function startCollector(): Promise<TestCollector> {
  const spans: CollectedSpan[] = [];
  const requests: CollectedRequest[] = [];
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    requests.push({ path: request.url ?? '', headers: request.headers, body });
    const type = request.headers['content-type'] ?? '';
    if (type === JSON_TYPE) spans.push(...decode(body));
    // In both encodings an answer without anything in it.
    response.writeHead(200, { 'content-type': type }).end(type === JSON_TYPE ? '{}' : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    endpoint,
    settings: {
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: String(SOON_MS),
    },
    spans,
    requests,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function decode(body: Buffer): CollectedSpan[] {
  const { resourceSpans } = JSON.parse(body.toString()) as TracesRequest;
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(valuesOf(resource.attributes)['service.name']);
    return scopeSpans.flatMap((scope) => scope.spans.map((span) => toSpan(service, span)));
  });
}

function toSpan(service: string, span: JsonSpan): CollectedSpan {
  const { name, traceId, spanId, parentSpanId = '', kind, attributes, status, links = [] } = span;
  return {
    ...{ service, name, traceId, spanId, parentSpanId, kind },
    attributes: valuesOf(attributes),
    isError: status?.code === STATUS_ERROR,
    links: links.map((link) => link.spanId),
    startNs: BigInt(span.startTimeUnixNano),
    endNs: BigInt(span.endTimeUnixNano),
  };
}

function valuesOf(attributes: readonly KeyValue[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, boolValue, intValue } }) => [
      key,
      stringValue ?? boolValue ?? Number(intValue),
    ]),
  );
}
