/**
 * START HERE. Traces by OpenTelemetry, for a process that is told where to send them. Any other process loads nothing of it: the library is
 * behind one dynamic import.
 *
 * Spans are passed on as arguments. Nothing follows calls behind their backs, so what is traced is what the code says, and where nothing is
 * traced nothing takes time.
 */
import type { TraceContext } from '@tritforge/contracts';
import type { TelemetryConfig } from './settings.js';
import { NO_SPAN, type Span, type SpanOptions } from './span.js';

export interface Telemetry {
  /** Whether anything is traced. */
  readonly isOn: boolean;
  /** Begins a span, as a part of what the context names. @param parent null begins a trace, and so does what is not valid */
  begin(name: string, parent: TraceContext | null, options?: SpanOptions): Span;
  /** Sends what has not been sent, for two seconds at most. Never throws. */
  close(): Promise<void>;
}

/** What a process says of itself. */
export interface Process {
  /** `service.name`, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says another one. */
  readonly serviceName: string;
  readonly version: string;
  /** Hears of spans that could not be delivered, now and then, and of settings that the library ignores. */
  readonly onProblem: (message: string, error?: unknown) => void;
}

/** The protocols of OTLP over HTTP. */
export const PROTOCOLS = ['http/protobuf', 'http/json'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Traces nothing. */
export const NO_TELEMETRY: Telemetry = { isOn: false, begin: () => NO_SPAN, close: async () => {} };

/**
 * Begins to trace, if there is a collector to send traces to. A collector that cannot be reached is no error: spans wait, up to a number,
 * and are dropped then.
 * @throws Error that names the setting that is wrong, and what would be right
 * @example
 * const telemetry = await startTelemetry(config, { serviceName: 'tritforge-api', version, onProblem: (message) => logger.warn(message) });
 */
export async function startTelemetry(config: TelemetryConfig, process: Process): Promise<Telemetry> {
  const { otlpEndpoint, otlpTracesEndpoint, isOtelDisabled, tracesExporter } = config;
  if (isOtelDisabled || (otlpEndpoint === null && otlpTracesEndpoint === null)) return NO_TELEMETRY;
  if (oneOf(['otlp', 'none'], 'OTEL_TRACES_EXPORTER', tracesExporter) === 'none') return NO_TELEMETRY;
  const protocol = protocolOf(config);
  const { openTelemetry } = await import('./open-telemetry.js');
  return openTelemetry(protocol, process);
}

function protocolOf({ otlpProtocol, otlpTracesProtocol }: TelemetryConfig): Protocol {
  return otlpTracesProtocol === null
    ? oneOf(PROTOCOLS, 'OTEL_EXPORTER_OTLP_PROTOCOL', otlpProtocol)
    : oneOf(PROTOCOLS, 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', otlpTracesProtocol);
}

/** These are often set for all programs of a machine, so they are looked at when they matter and not before. */
function oneOf<Choice extends string>(choices: readonly Choice[], env: string, value: string): Choice {
  const chosen = choices.find((choice) => choice === value);
  if (chosen === undefined) throw new Error(`${env} is "${value}" and must be ${choices.join(' or ')}`);
  return chosen;
}
