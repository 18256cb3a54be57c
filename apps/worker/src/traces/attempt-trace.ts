import type { Phase } from '@tritforge/contracts';
import type { JobClaim } from '@tritforge/store';
import type { Span, Telemetry } from '@tritforge/telemetry';
import type { AttemptOutcome } from '../metrics/worker-metrics.js';

/** Phases of the engine, and what comes before its process starts. */
type Step = Phase | 'fetchInputs';

/**
 * The spans of an attempt at a job: one for the attempt, in it one for each step. The attempt is a part of the span that sent the job, and so of the
 * trace of whoever asked for it: conventions for messages allow that where messages are processed one by one, and one job is what people look for.
 * Attempts at one job stand side by side. What a killed worker had begun never arrives; the steps that it had ended name their attempt.
 */
export class AttemptTrace {
  readonly #span: Span;
  readonly #attempt: Readonly<Record<string, string | number>>;
  #step: { readonly name: Step; readonly span: Span } | null = null;

  constructor(telemetry: Telemetry, { jobId, attempt, projectId, traceContext, job }: JobClaim, workerId: string) {
    this.#attempt = { 'tritforge.job.id': jobId, 'tritforge.job.attempt': attempt };
    this.#span = telemetry.begin('process jobs', traceContext, {
      kind: 'consumer',
      attributes: {
        'messaging.system': 'bullmq',
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        'messaging.destination.name': 'jobs',
        'messaging.message.id': jobId,
        ...this.#attempt,
        'tritforge.job.method': job.recipe.method,
        'tritforge.model.id': job.modelId,
        'tritforge.project.id': projectId,
        'tritforge.worker.id': workerId,
      },
    });
  }

  get logFields(): Readonly<Record<string, string>> {
    return this.#span.logFields;
  }

  /** @param files what earlier attempts left: one per solved layer, one of a training */
  resumes(files: number): void {
    this.#span.set({ 'tritforge.job.checkpoint_files': files });
  }

  entered(name: Step): void {
    if (this.#step?.name === name) return;
    this.left();
    this.#step = { name, span: this.#span.begin(name, { attributes: this.#attempt }) };
  }

  /** The step is over, and the next one has not begun. */
  left(): void {
    this.#step?.span.end();
    this.#step = null;
  }

  /** The attempt failed, and the step that it is in with it. */
  failed(code: string): void {
    this.#step?.span.fail(code);
    this.#span.fail(code);
  }

  /** Called once. */
  ended(outcome: AttemptOutcome): void {
    this.left();
    this.#span.set({ 'tritforge.job.outcome': outcome });
    this.#span.end();
  }
}
