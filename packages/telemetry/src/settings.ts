/** What a process is told of traces: standard variables of OpenTelemetry. Those that are not here the library reads itself. */
export interface TelemetryConfig {
  /** Base of the addresses of a collector; null where there is none. */
  readonly otlpEndpoint: string | null;
  /** Where traces alone are sent to; null for a path below `otlpEndpoint`. */
  readonly otlpTracesEndpoint: string | null;
  readonly otlpProtocol: string;
  /** The protocol of traces alone; null for `otlpProtocol`. */
  readonly otlpTracesProtocol: string | null;
  readonly tracesExporter: string;
  readonly isOtelDisabled: boolean;
}

const text = (value: string): string => value;

function httpUrl(value: string): string {
  if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return value;
  throw new Error('a URL that starts with http:// or https://');
}

/** Environment variables that API and workers share: name, default, check and meaning of each. */
export const TELEMETRY_SETTINGS = {
  otlpEndpoint: {
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    fallback: null,
    meaning:
      'Collector that traces are sent to by OTLP over HTTP, such as http://localhost:4318; nothing is traced when unset.',
    parse: httpUrl,
  },
  otlpTracesEndpoint: {
    env: 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    fallback: null,
    meaning: 'The same for traces alone, with its path: http://localhost:4318/v1/traces.',
    parse: httpUrl,
  },
  otlpProtocol: {
    env: 'OTEL_EXPORTER_OTLP_PROTOCOL',
    fallback: 'http/protobuf',
    meaning: 'http/protobuf or http/json.',
    parse: text,
  },
  otlpTracesProtocol: {
    env: 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL',
    fallback: null,
    meaning: 'The same for traces alone.',
    parse: text,
  },
  tracesExporter: {
    env: 'OTEL_TRACES_EXPORTER',
    fallback: 'otlp',
    meaning: 'otlp, or none to trace nothing although there is a collector.',
    parse: text,
  },
  isOtelDisabled: {
    env: 'OTEL_SDK_DISABLED',
    fallback: false,
    meaning: 'true traces nothing.',
    // As the specification has it: any other text is false.
    parse: (value: string): boolean => value.toLowerCase() === 'true',
  },
};
