import type { IncomingHttpHeaders } from 'node:http';
import { TritforgeError } from '@tritforge/contracts';
import Type from 'typebox';

const KEY = /^[\x21-\x7e]{1,255}$/;

/** The headers of a POST, for the document. */
export const idempotencyHeader = Type.Object({
  'Idempotency-Key': Type.Optional(
    Type.String({
      pattern: KEY.source,
      description:
        'Makes it safe to send the request again: the same request with the same key is done once and gets the same answer for 24 hours, ' +
        'with the header Idempotency-Replayed. 1 to 255 visible ASCII characters, such as a UUID.',
    }),
  ),
});

/** The key of a request; null where it has none. @throws TritforgeError HEADER_INVALID */
export function idempotencyKey(headers: IncomingHttpHeaders): string | null {
  const key = headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key === 'string' && KEY.test(key)) return key;
  throw new TritforgeError('HEADER_INVALID', 'The Idempotency-Key is not 1 to 255 visible ASCII characters', {
    field: 'idempotency-key',
    remediation: 'Send a UUID, or another text that no other request has.',
  });
}
