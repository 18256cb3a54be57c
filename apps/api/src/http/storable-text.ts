import { type ErrorCode, TritforgeError } from '@tritforge/contracts';

/** NUL and lone surrogates: valid in JSON, but PostgreSQL keeps neither. */
const UNSTORABLE = /\0|\p{Surrogate}/u;

/**
 * Refuses texts, keys included, that no database column can hold. Call it after the schema check, which bounds depth.
 * @param path names the value in the message
 * @throws TritforgeError with the given code
 */
export function requireStorableText(value: unknown, code: ErrorCode, path: string): void {
  if (typeof value === 'string' && UNSTORABLE.test(value)) throw unstorable(code, path);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    if (UNSTORABLE.test(key)) throw unstorable(code, path);
    requireStorableText(item, code, path === '' ? key : `${path}.${key}`);
  }
}

function unstorable(code: ErrorCode, path: string): TritforgeError {
  return new TritforgeError(code, `${path || 'The body'} holds the character NUL or half of a surrogate pair`, {
    ...(path !== '' && { field: path }),
    remediation: 'Send text that is valid UTF-8 without NUL.',
  });
}
