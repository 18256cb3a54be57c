import { type TraceContext, TritforgeError } from '@tritforge/contracts';

/** Facts about a span, named by the semantic conventions of OpenTelemetry; our own begin with `tritforge.`. Never texts of users, nor secrets. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Which side of a call or a message a span is; `internal` is neither. */
export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

export interface SpanOptions {
  /** `internal` when left out. */
  readonly kind?: SpanKind;
  readonly attributes?: Attributes;
}

/** Something that takes time, as a part of a trace. Where nothing is traced its methods do nothing. */
export interface Span {
  /** What whoever goes on with it elsewhere is given; null where nothing is traced. */
  readonly context: TraceContext | null;
  /** What lines of the log carry, so that they are found by the trace: `trace_id` and `span_id`. */
  readonly logFields: Readonly<Record<string, string>>;
  /** Begins a part of it. */
  begin(name: string, options?: SpanOptions): Span;
  rename(name: string): void;
  set(attributes: Attributes): void;
  /** Marks it as failed. @param code of the error: codes say what happened without the texts of users that messages have */
  fail(code: string): void;
  /** Called once. */
  end(): void;
}

/** The span where nothing is traced. */
export const NO_SPAN: Span = {
  context: null,
  logFields: {},
  begin: () => NO_SPAN,
  rename: () => {},
  set: () => {},
  fail: () => {},
  end: () => {},
};

/** Does `work` within a span, which ends with it. */
export async function within<T>(span: Span, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await work(span);
  } catch (error) {
    span.fail(error instanceof TritforgeError ? error.code : 'INTERNAL');
    throw error;
  } finally {
    span.end();
  }
}
