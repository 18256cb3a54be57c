import type { IncomingHttpHeaders } from 'node:http';
import { TritforgeError } from '@tritforge/contracts';
import Type from 'typebox';

/** Places of events are 64-bit integers. */
const ID = /^\d{1,18}$/;

/** The headers and the query of a stream, for the document. */
export const lastEventIdHeader = Type.Object({
  'Last-Event-ID': Type.Optional(
    Type.String({
      pattern: ID.source,
      description: 'Goes on behind this event; clients send it when they connect again.',
    }),
  ),
});
export const afterQuery = Type.Object({
  after: Type.Optional(
    Type.String({ pattern: ID.source, description: 'The same for clients that cannot send headers.' }),
  ),
});

/** The event to go on behind; undefined where the client names none. @throws TritforgeError HEADER_INVALID */
export function lastEventId(headers: IncomingHttpHeaders, after: string | undefined): string | undefined {
  const named = headers['last-event-id'];
  if (named === undefined || named === '') return after;
  if (typeof named === 'string' && ID.test(named)) return named;
  throw new TritforgeError('HEADER_INVALID', 'The Last-Event-ID was not given out by this service', {
    field: 'last-event-id',
    remediation: 'Send the id of the last event as it was, or none to start anew.',
  });
}
