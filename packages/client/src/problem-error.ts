import type { Problem } from '@tritforge/contracts';

/**
 * The service refused a request, and says why. Codes are those of `GET /problems`; a newer service may have others than this client
 * knows.
 *
 * @example
 * try {
 *   await client.models.upload({ path: 'model.onnx' });
 * } catch (error) {
 *   if (error instanceof ProblemError && error.code === 'MODEL_TRUNCATED') console.error(error.message, error.requestId);
 *   else throw error;
 * }
 */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  /** The answer as it came. */
  readonly problem: Problem;
  /** Of the answer. */
  readonly status: number;
  /** Under which the service logs the request; null where it named none. */
  readonly requestId: string | null;

  constructor(problem: Problem, status: number, requestId: string | null) {
    super(problem.detail);
    this.problem = problem;
    this.status = status;
    this.requestId = requestId;
  }

  /** A stable code, such as `MODEL_TRUNCATED`. */
  get code(): string {
    return this.problem.code;
  }

  /** What to do about it, in a sentence. */
  get remediation(): string | undefined {
    return this.problem.remediation;
  }

  /** Whether the same request can succeed later without being changed. */
  get retryable(): boolean {
    return this.problem.retryable;
  }

  /** The JSON form, without the stack. */
  toJSON(): object {
    const { type: _, title: __, detail, instance: ___, status: ____, ...rest } = this.problem;
    return { ...rest, message: detail, status: this.status, requestId: this.requestId };
  }
}
