/** Traces of what API and workers do. Start reading at `telemetry.ts`. */
export { TELEMETRY_SETTINGS, type TelemetryConfig } from './settings.js';
export { type Attributes, NO_SPAN, type Span, type SpanKind, type SpanOptions, within } from './span.js';
export { NO_TELEMETRY, startTelemetry, type Telemetry } from './telemetry.js';
