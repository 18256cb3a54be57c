import { TritforgeError } from '@tritforge/contracts';
import { CommanderError } from 'commander';
import { CommandError } from './command-error.js';

/** Exit codes of the command line. */
export const EXIT = {
  done: 0,
  internalError: 1,
  badInput: 2,
  gateFailed: 3,
  jobFailed: 4,
  unreachable: 5,
  canceled: 6,
  timedOut: 7,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

const JOB_FAILURES: ReadonlySet<string> = new Set([
  'JOB_DEADLINE_EXCEEDED',
  'JOB_MEMORY_EXCEEDED',
  'JOB_DISK_EXCEEDED',
  'JOB_CRASHED',
  'ARTIFACT_VERIFICATION_FAILED',
  'STORAGE_FULL',
]);

/** The exit code that tells a script what kind of failure an error is. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.badInput;
  if (error instanceof CommandError) return error.exitCode;
  if (!(error instanceof TritforgeError)) return EXIT.internalError;
  if (error.code === 'GATE_FAILED') return EXIT.gateFailed;
  if (JOB_FAILURES.has(error.code)) return EXIT.jobFailed;
  return error.status < 500 ? EXIT.badInput : EXIT.internalError;
}
