/** START HERE: a request of the tus protocol, answered by its server library on the uploads of the project that asks. */
import { TritforgeError } from '@tritforge/contracts';
import type { Answer, UploadRepository } from '@tritforge/store';
import { Server } from '@tus/server';
import type { FastifyRequest } from 'fastify';
import type { ApiConfig } from '../../config.js';
import type { RequestBody } from '../request-body.js';
import { uploadLimits } from '../upload-limits.js';
import { refusal } from './tus-refusals.js';
import { UploadDataStore } from './upload-data-store.js';
import { uploadLocker } from './upload-locker.js';

export const UPLOADS_PATH = '/uploads';
/** Of the body of a PATCH, and of a POST that brings the beginning along. */
export const TUS_MEDIA_TYPE = 'application/offset+octet-stream';
export const TUS_VERSION = '1.0.0';

/** How long a request goes on that is to make way for another one for the same upload. */
const DRAIN_MS = 500;
const REQUEST_HEADERS = /^(tus-|upload-|content-type$|content-length$)/;
const RESPONSE_HEADERS = /^(tus-|upload-|location$|cache-control$|connection$)/;

/** What the protocol works on. */
export interface TusDeps {
  readonly uploads: UploadRepository;
  readonly config: ApiConfig;
}

/**
 * Answers a request for an upload. Its server knows one project alone, and is made for the request.
 * @param id of the upload; a new one for POST
 * @param body null where there is none
 * @throws TritforgeError HEADER_INVALID, UPLOAD_NOT_FOUND, UPLOAD_OFFSET_MISMATCH, UPLOAD_PROTOCOL_UNSUPPORTED, UPLOAD_TOO_LARGE, and
 *   those of body, store and locks
 */
export async function answerTus(
  { uploads, config }: TusDeps,
  request: FastifyRequest,
  id: string,
  body: RequestBody | null,
): Promise<Answer> {
  if (request.headers['tus-resumable'] !== TUS_VERSION) throw otherVersion();
  let failure: unknown = null;
  const datastore = new UploadDataStore(uploads, uploadLimits(config));
  const server = new Server({
    path: UPLOADS_PATH,
    relativeLocation: true,
    datastore,
    maxSize: config.maxUploadBytes,
    namingFunction: () => id,
    getFileIdFromRequest: () => id,
    lockDrainTimeout: DRAIN_MS,
    // Nobody else knows an upload that is being created; its row comes later than its lock would.
    ...(request.method !== 'POST' && { locker: uploadLocker(uploads) }),
    onResponseError: (_request, error) => {
      failure = error;
      return undefined;
    },
  });
  const response = await server.handleWeb(toWebRequest(request, id, body));
  if (response.status >= 400) {
    // The body knows best why it failed: its size, its pace or its digest.
    if (body?.errored instanceof TritforgeError) throw body.errored;
    for (const error of [datastore.writeFailure, failure]) if (isOurs(error)) throw error;
    throw refusal(response.status, await response.text());
  }
  return { status: response.status, headers: chosen(response.headers, RESPONSE_HEADERS), body: null };
}

/** Whether an error is no refusal of the library, which have a status, and no abortion, which follows from one or from a lock. */
function isOurs(error: unknown): boolean {
  return error instanceof Error && !('status_code' in error) && error.name !== 'AbortError';
}

/** The library takes a wrong version for a bad header, which clients would not understand. */
function otherVersion(): TritforgeError {
  return new TritforgeError('UPLOAD_PROTOCOL_UNSUPPORTED', `The request does not say that it is tus ${TUS_VERSION}`, {
    field: 'tus-resumable',
    remediation: `Send the header Tus-Resumable: ${TUS_VERSION}.`,
  });
}

/** The request as the library takes it, with the headers of the protocol alone. */
function toWebRequest({ method, headers }: FastifyRequest, id: string, body: RequestBody | null): Request {
  const url = `http://localhost${UPLOADS_PATH}${method === 'POST' ? '' : `/${id}`}`;
  const init = { method, headers: chosen(Object.entries(headers), REQUEST_HEADERS) };
  if (body === null) return new Request(url, init);
  return new Request(url, { ...init, body: ReadableStream.from(body), duplex: 'half' });
}

function chosen(headers: Iterable<[string, unknown]>, names: RegExp): Record<string, string> {
  return Object.fromEntries(
    [...headers].filter(([name]) => names.test(name)).map(([name, value]) => [name, `${value}`]),
  );
}
