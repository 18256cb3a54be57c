import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ERROR_CODES, type ErrorCode, type Problem, TritforgeError } from '@tritforge/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { spanOf } from './traces/trace-requests.js';

/** Media type of every error answer (RFC 9457). */
export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** Seconds after which a client may try again when the service is busy. */
const RETRY_AFTER_SECONDS = 5;

type Translation = readonly [code: ErrorCode, message: string, remediation: string];

const DATABASE_GONE: Translation = [
  'SERVICE_UNAVAILABLE',
  'The database of the service cannot be reached',
  'Send the request again after the seconds that Retry-After names.',
];

/** What the frameworks below us throw, in our terms. */
const FRAMEWORK_ERRORS: Readonly<Record<string, Translation>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'CONTENT_TYPE_UNSUPPORTED',
    'This route does not take a body of this content type',
    'Send one of the content types that /openapi.json lists for the route.',
  ],
  FST_ERR_CTP_BODY_TOO_LARGE: [
    'BODY_TOO_LARGE',
    'The JSON body is larger than the service allows',
    'Send a smaller body; files travel in multipart uploads.',
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    'REQUEST_MALFORMED',
    'The body is longer or shorter than Content-Length says',
    'Send the length of the body in bytes, or chunked transfer encoding.',
  ],
  FST_ERR_BAD_URL: [
    'REQUEST_MALFORMED',
    'The path is not valid percent-encoded UTF-8',
    'Percent-encode the path as UTF-8.',
  ],
  P1001: DATABASE_GONE,
  P1002: DATABASE_GONE,
  P1017: DATABASE_GONE,
  P2024: DATABASE_GONE,
  ECONNREFUSED: DATABASE_GONE,
  ENOSPC: ['STORAGE_FULL', 'The service has no space left', 'Tell the operator of the service, and try again later.'],
  ECONNRESET: ['UPLOAD_INCOMPLETE', 'The connection ended before the body had arrived', 'Send the request again.'],
};

/** The error as one of the registry's; what is unknown becomes INTERNAL and keeps its cause. */
export function toTritforgeError(error: unknown, requestId: string): TritforgeError {
  if (error instanceof TritforgeError && error.code !== 'INTERNAL') return error;
  const known = FRAMEWORK_ERRORS[(error as { code?: string } | null)?.code ?? ''];
  if (known) return new TritforgeError(known[0], known[1], { remediation: known[2], cause: error });
  return new TritforgeError('INTERNAL', `The service failed while it handled request ${requestId}`, {
    remediation: 'Tell the operator of the service the request id; the log names the cause under it.',
    cause: error,
  });
}

/** The problem document of an error. `instance` is the path that was asked for. */
export function toProblem(error: TritforgeError, instance: string): Problem {
  const { code, message, retryable, ...context } = error.toJSON();
  const { status, title } = ERROR_CODES[code];
  const remediation = context.remediation ?? usualRemediation(code);
  return {
    type: `/problems/${code}`,
    title,
    status,
    code,
    detail: message,
    instance,
    retryable,
    ...context,
    remediation,
  };
}

/** What usually helps, for errors that say nothing better. */
function usualRemediation(code: ErrorCode): string {
  const { status, ...kind } = ERROR_CODES[code];
  if ('retryable' in kind) return 'Send the request again later.';
  if (status === 404) return 'Check the id; what it named may have been deleted.';
  if (code.startsWith('MODEL_')) return 'Export the model again; `tritforge inspect` checks it on your machine.';
  if (code.startsWith('DATASET_')) return 'Correct the dataset file and upload it again.';
  return 'Correct the request and send it again.';
}

/** Answers with the problem document of an error and logs what is not the caller's fault. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toTritforgeError(error, request.id);
  const span = spanOf(request);
  span.set({ 'tritforge.error.code': known.code });
  if (known.status >= 500) span.fail(known.code);
  if (known.status === 503) request.log.warn({ err: error }, known.message);
  else if (known.status >= 500) request.log.error({ err: error }, known.message);
  else request.log.info({ code: known.code, field: known.context.field }, known.message);
  if (known.status === 503) reply.header('retry-after', String(RETRY_AFTER_SECONDS));
  return reply
    .status(known.status)
    .type(PROBLEM_MEDIA_TYPE)
    .send(toProblem(known, pathOf(request)));
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/';
}

/** Answers a connection whose bytes are not a request that Node could parse. */
export function sendConnectionError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const known = connectionError(error);
  const body = JSON.stringify(toProblem(known, '/'));
  socket.end(
    `HTTP/1.1 ${known.status} ${STATUS_CODES[known.status]}\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroySoon(),
  );
}

function connectionError(error: NodeJS.ErrnoException): TritforgeError {
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    return new TritforgeError('HEADERS_TOO_LARGE', 'The request line and headers are larger than 16 KiB', {
      remediation: 'Send fewer or shorter headers and a shorter URL.',
    });
  }
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new TritforgeError('REQUEST_TIMEOUT', 'The headers of the request did not arrive in time', {
      remediation: 'Send the whole request head at once.',
    });
  }
  return new TritforgeError('REQUEST_MALFORMED', 'The connection does not carry a valid HTTP/1.1 request', {
    remediation: 'Check that the client speaks HTTP, not TLS, and sends well-formed headers.',
    cause: error,
  });
}
