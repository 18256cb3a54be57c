/** What the log has, and what it never has: secrets, whichever way they got into a message. */
import type { SharedConfig } from './settings.js';

/** API keys and secrets of webhooks, by their beginnings, and passwords in URLs. Bounded, since strangers choose much of what is logged. */
const SECRETS = /\b(tf_|whsec_)[\w+/-]{16,}=*|(\b[a-z][a-z0-9+.-]{0,15}:\/\/[^\s:@/"]{0,200}:)[^\s@/"]{1,500}(?=@)/gi;
/** Errors that caused an error, one behind the other. */
const MAX_CAUSES = 8;

/** An error as the log has it. */
interface LoggedError {
  readonly type: string;
  readonly message: string;
  readonly stack: string;
  readonly [field: string]: unknown;
}

/** Options of pino, for the log of a process. */
export function logOptions({ logLevel }: Pick<SharedConfig, 'logLevel'>, service: string) {
  return {
    level: logLevel,
    base: { service, pid: process.pid },
    serializers: { err: (error: Error) => loggedError(error) },
    hooks: { streamWrite: withoutSecrets },
  };
}

/**
 * What the log has of an error and its causes. Not the further fields that libraries add: ioredis for one adds the command with its
 * arguments, which are the password where logging in is refused.
 */
export function loggedError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: '' };
  const { code, cause, errors } = error as Error & { readonly code?: unknown; readonly errors?: unknown };
  const goesOn = depth < MAX_CAUSES;
  return {
    type: error.name,
    ...(code !== undefined && { code }),
    message: error.message,
    stack: error.stack ?? '',
    ...(goesOn && cause !== undefined && { cause: loggedError(cause, depth + 1) }),
    ...(goesOn && Array.isArray(errors) && { errors: errors.map((one) => loggedError(one, depth + 1)) }),
  };
}

/** A text with the beginnings of secrets alone. */
export function withoutSecrets(text: string): string {
  return text.replace(SECRETS, (_, kind: string | undefined, address: string | undefined) => `${kind ?? address}…`);
}
