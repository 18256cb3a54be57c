import { TritforgeError } from '@tritforge/contracts';
import type { FastifyInstance } from 'fastify';
import { idempotencyKey } from '../http/idempotency-key.js';

/** Refuses requests whose head this service cannot honour, before their body is read. */
export function checkRequestHeads(app: FastifyInstance): void {
  app.addHook('onRequest', async ({ headers, method, raw }) => {
    if (headers.host === undefined && raw.httpVersion !== '1.0') {
      throw new TritforgeError('REQUEST_MALFORMED', 'The request has no Host header', {
        field: 'host',
        remediation: 'Send the Host header, as HTTP/1.1 demands.',
      });
    }
    if (method === 'POST') idempotencyKey(headers);
    if (method === 'GET' || method === 'HEAD') return;
    const encoding = headers['content-encoding']?.toLowerCase() ?? 'identity';
    if (encoding !== 'identity') {
      throw new TritforgeError(
        'CONTENT_TYPE_UNSUPPORTED',
        `The body has the content encoding ${encoding.slice(0, 50)}`,
        {
          field: 'content-encoding',
          remediation: 'Send the body without Content-Encoding.',
        },
      );
    }
  });
}
