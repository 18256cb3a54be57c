import { ERROR_CODES, type ErrorCode, type Problem, TritforgeError } from '@tritforge/contracts';
import { isDatabaseGone } from '@tritforge/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { spanOf } from './traces/trace-requests.js';

/** Media type of every error answer (RFC 9457). */
export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** Seconds after which a client may try again when the service is busy. */
const RETRY_AFTER_SECONDS = 5;

type Translation = readonly [code: ErrorCode, message: string, remediation: string];

const NO_SPACE: Translation = [
  'STORAGE_FULL',
  'The service has no space left',
  'Tell the operator of the service, and try again later.',
];

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
  FST_ERR_BAD_URL: [
    'REQUEST_MALFORMED',
    'The path is not valid percent-encoded UTF-8',
    'Percent-encode the path as UTF-8.',
  ],
  ECONNREFUSED: DATABASE_GONE,
  ENOSPC: NO_SPACE,
  EDQUOT: NO_SPACE,
  EFBIG: NO_SPACE,
  ECONNRESET: ['UPLOAD_INCOMPLETE', 'The connection ended before the body had arrived', 'Send the request again.'],
};

/** The error as one of the registry's; what is unknown becomes INTERNAL and keeps its cause. */
export function toTritforgeError(error: unknown, requestId: string): TritforgeError {
  if (error instanceof TritforgeError && error.code !== 'INTERNAL') return error;
  const code = (error as { code?: string } | null)?.code ?? '';
  const known = isDatabaseGone(error) ? DATABASE_GONE : FRAMEWORK_ERRORS[code];
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
  // What remains of the request would be taken for the next one, or waited for.
  if (known.status === 408) reply.header('connection', 'close');
  return reply
    .status(known.status)
    .type(PROBLEM_MEDIA_TYPE)
    .send(toProblem(known, pathOf(request)));
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/';
}
