/**
 * Where in a trace something happens, as W3C Trace Context writes it into headers: `traceparent` names the trace and the span that what follows
 * is part of, `tracestate` is what systems for tracing add for themselves.
 */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}
