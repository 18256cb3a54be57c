import { ProblemError } from '@tritforge/client';
import { type Job, TritforgeError } from '@tritforge/contracts';
import { CommandError } from '../command-error.js';
import { EXIT } from '../exit-code.js';
import { requireGates } from '../gates.js';

const CLIENT_ERRORS: ReadonlyMap<string, number> = new Map([
  ['SERVICE_UNREACHABLE', EXIT.unreachable],
  ['ANSWER_INVALID', EXIT.unreachable],
  ['DIGEST_MISMATCH', EXIT.unreachable],
  ['WAIT_TIMEOUT', EXIT.timedOut],
]);
/** Ends of jobs that are told apart from a failure of the work. */
const CODES_OF_JOBS: ReadonlyMap<string, number> = new Map([
  ['GATE_FAILED', EXIT.gateFailed],
  ['CANCELED', EXIT.canceled],
]);
/** What is answered by a service that is there and cannot serve now. */
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Does what a command is to do on a service. @throws CommandError in place of the errors of the client */
export async function onService<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ProblemError) throw refused(error);
    const exitCode = error instanceof TritforgeError ? CLIENT_ERRORS.get(error.code) : undefined;
    if (!(error instanceof TritforgeError) || exitCode === undefined) throw error;
    const { code, message, context } = error;
    throw new CommandError(
      exitCode,
      { code, message: `${message}.`, json: error.toJSON() },
      given(context.remediation),
    );
  }
}

function refused(error: ProblemError): CommandError {
  const { code, message, status, remediation, requestId } = error;
  const exitCode = BUSY.has(status) ? EXIT.unreachable : status < 500 ? EXIT.badInput : EXIT.internalError;
  const logged = requestId === null ? undefined : `The service logs it as request ${requestId}.`;
  return new CommandError(exitCode, { code, message, json: error.toJSON() }, given(remediation, logged));
}

/**
 * @param job that has ended
 * @throws CommandError when it did not succeed; TritforgeError GATE_FAILED when it succeeded and a gate did not pass
 */
export function requireSuccess({ id, state, error, gates }: Job): void {
  if (state === 'succeeded') {
    requireGates(gates.results);
    return;
  }
  // A job that was canceled has no error of its own.
  const known = error ?? { code: 'CANCELED', message: `The job ${id} was canceled.`, retryable: false };
  const { code, message } = known;
  const exitCode = CODES_OF_JOBS.get(code) ?? EXIT.jobFailed;
  throw new CommandError(exitCode, { code, message, json: { ...known, jobId: id, state } }, given(error?.remediation));
}

function given(...hints: readonly (string | undefined)[]): string[] {
  return hints.filter((hint) => hint !== undefined);
}
