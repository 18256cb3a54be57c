import { TritforgeError } from '@tritforge/contracts';
import { CommanderError } from 'commander';
import { CommandError } from '../command-error.js';

/**
 * Writes an error to standard error: code, message and remediation as lines, or all of it as one line of JSON. Our own
 * mistakes come with their stack.
 */
export function printError(error: unknown, asJson: boolean): void {
  if (error instanceof CommanderError) {
    // Commander has written its message already, in words; help and version are no errors.
    if (asJson && error.exitCode !== 0) writeError(usageError(error), true);
  } else if (error instanceof CommandError) {
    process.stderr.write(asJson ? `${JSON.stringify(error)}\n` : inWords(error));
  } else {
    writeError(error instanceof TritforgeError ? error : internalError(error), asJson);
  }
}

function writeError(error: TritforgeError, asJson: boolean): void {
  process.stderr.write(asJson ? `${JSON.stringify(error)}\n` : asText(error));
}

/** Commander's own errors in the form of ours. */
function usageError({ message }: CommanderError): TritforgeError {
  return new TritforgeError('USAGE_INVALID', message.replace(/^error: /, ''), {
    remediation: 'See `tritforge --help`.',
  });
}

function internalError(error: unknown): TritforgeError {
  if (!(error instanceof Error)) return new TritforgeError('INTERNAL', String(error));
  return new TritforgeError('INTERNAL', error.message, { cause: error.stack });
}

function inWords({ code, message, hints }: CommandError): string {
  return `${[`error ${code}: ${message}`, ...hints.map((hint) => `  ${hint}`)].join('\n')}\n`;
}

function asText({ code, message, status, cause, context }: TritforgeError): string {
  const lines = [`error ${code}: ${message}`];
  if (context.remediation !== undefined) lines.push(`  ${context.remediation}`);
  if (status >= 500 && cause !== undefined) lines.push(String(cause));
  return `${lines.join('\n')}\n`;
}
