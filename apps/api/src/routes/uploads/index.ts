import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type ErrorCode, idSchema, newId, repeatableId, WRITING } from '@tritforge/contracts';
import type { Answer, OnceClaim } from '@tritforge/store';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { ONCE_ERRORS } from '../../http/error-groups.js';
import { idempotencyHeader } from '../../http/idempotency-key.js';
import { requireId } from '../../http/lookup.js';
import { emptyResponse, problems } from '../../http/responses.js';
import { answerOnce, sendAnswer } from '../../once/answer-once.js';
import { acceptUploads } from '../../plugins/accept-uploads.js';
import { accessOf } from '../../plugins/authentication.js';
import { binaryBody, locationHeader } from '../../uploads/body-schemas.js';
import { answerTus, TUS_MEDIA_TYPE, TUS_VERSION, UPLOADS_PATH } from '../../uploads/resumable/tus.js';
import { TUS_EXTENSIONS } from '../../uploads/resumable/upload-data-store.js';

const tags = ['uploads'];
const params = Type.Object({ id: idSchema('upload') });
/** Whoever may send files in a form may send them in pieces. */
const config = { scope: WRITING };

const bytes = (description: string) => Type.String({ pattern: '^\\d+$', description });
const version = {
  'Tus-Resumable': Type.String({ description: 'The version of the protocol.', examples: [TUS_VERSION] }),
};
const offset = { 'Upload-Offset': bytes('How many bytes have arrived.') };

const TUS_ERRORS: readonly ErrorCode[] = ['HEADER_INVALID', 'UPLOAD_PROTOCOL_UNSUPPORTED'];
const FOUND_ERRORS: readonly ErrorCode[] = [...TUS_ERRORS, 'UPLOAD_NOT_FOUND', 'UPLOAD_LOCKED'];
const BODY_ERRORS: readonly ErrorCode[] = [
  'CONTENT_TYPE_UNSUPPORTED',
  'UPLOAD_TOO_LARGE',
  'UPLOAD_INCOMPLETE',
  'DIGEST_MISMATCH',
  'REQUEST_TIMEOUT',
  'STORAGE_FULL',
];

/** `/uploads`: tus 1.0 */
export const uploadRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, deps) => {
  acceptUploads(app, [TUS_MEDIA_TYPE], { json: false });
  // On refusals too, those of hooks included: the protocol asks for it.
  app.addHook('onSend', async (request, reply) => {
    if (request.method !== 'OPTIONS') reply.header('tus-resumable', TUS_VERSION);
    if (reply.statusCode === 412) reply.header('tus-version', TUS_VERSION);
  });

  app.options(
    UPLOADS_PATH,
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'describeUploads',
        summary: 'What of tus this service has',
        tags,
        response: {
          204: {
            ...emptyResponse('Versions, extensions and the largest size.'),
            headers: {
              'Tus-Version': Type.String(),
              'Tus-Extension': Type.String(),
              'Tus-Max-Size': bytes('The largest Upload-Length.'),
            },
          },
          ...problems(),
        },
      },
    },
    async (_request, reply) =>
      reply
        .status(204)
        .headers({
          'tus-version': TUS_VERSION,
          'tus-extension': TUS_EXTENSIONS.join(','),
          'tus-max-size': deps.config.maxUploadBytes,
        })
        .send(),
  );

  app.post(
    UPLOADS_PATH,
    {
      config,
      schema: {
        operationId: 'createUpload',
        summary: 'Start a resumable upload',
        description:
          'By the tus protocol 1.0 (https://tus.io), for which there are clients in many languages. The answer names the upload in ' +
          'Location, and in Upload-Expires how long it is kept; PATCH sends the bytes, and HEAD says after an interruption how many have ' +
          'arrived. A finished upload is used in place of a file of a form, as often as it is needed: `-F model=upload:upl_…` with ' +
          '`POST /models`, `POST /datasets` and `POST /jobs`. A body of the type application/offset+octet-stream is the beginning of the file.',
        tags,
        headers: Type.Object({
          ...version,
          'Upload-Length': bytes('Size of the file in bytes. It cannot be left for later.'),
          'Upload-Metadata': Type.Optional(
            Type.String({
              description:
                'Keys with values in base 64, by commas. `filename` names the file; external data may have folders in it.',
              examples: ['filename bW9kZWwub25ueA=='],
            }),
          ),
          ...idempotencyHeader.properties,
        }),
        response: {
          201: { ...emptyResponse('The upload waits for its bytes.'), headers: { ...version, ...locationHeader } },
          ...problems(...TUS_ERRORS, ...BODY_ERRORS, ...ONCE_ERRORS, 'UPLOAD_EMPTY', 'QUOTA_EXCEEDED'),
        },
      },
    },
    async (request, reply) => {
      const { 'upload-length': length, 'upload-metadata': metadata } = request.headers;
      const answer = await deps.uploads.serve(reply, () =>
        answerOnce(request, { length, metadata }, (claim) => create(deps, request, claim)),
      );
      return sendAnswer(reply, answer);
    },
  );

  app.head(
    `${UPLOADS_PATH}/:id`,
    {
      config: { ...config, swagger: { exposeHeadRoute: true } },
      schema: {
        operationId: 'getUploadOffset',
        summary: 'Get how much of an upload has arrived',
        tags,
        params,
        headers: Type.Object(version),
        response: {
          200: {
            ...emptyResponse('Where to go on.'),
            headers: { ...version, ...offset, 'Upload-Length': bytes('Size of the file.') },
          },
          ...problems(...FOUND_ERRORS),
        },
      },
    },
    async (request, reply) => {
      return sendAnswer(reply, await answerById(deps, request, request.params.id));
    },
  );

  app.patch(
    `${UPLOADS_PATH}/:id`,
    {
      config,
      schema: {
        operationId: 'appendToUpload',
        summary: 'Send bytes of an upload',
        description:
          'As many as there are, or a piece. What has arrived when the connection breaks stays; go on at the offset that HEAD gives. With ' +
          'Content-Digest a piece is kept as a whole or not at all.',
        tags,
        params,
        headers: Type.Object({ ...version, 'Upload-Offset': bytes('How many bytes come before this piece.') }),
        body: { content: { [TUS_MEDIA_TYPE]: binaryBody } },
        response: {
          204: { ...emptyResponse('They have arrived.'), headers: { ...version, ...offset } },
          ...problems(...FOUND_ERRORS, ...BODY_ERRORS, 'UPLOAD_OFFSET_MISMATCH'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const answer = await deps.uploads.serve(reply, () => answerById(deps, request, id));
      return sendAnswer(reply, answer);
    },
  );

  app.delete(
    `${UPLOADS_PATH}/:id`,
    {
      config,
      schema: {
        operationId: 'deleteUpload',
        summary: 'Delete an upload',
        description: 'Finished or not. Models and datasets that were made from it stay.',
        tags,
        params,
        headers: Type.Object(version),
        response: { 204: { ...emptyResponse('It is gone.'), headers: version }, ...problems(...FOUND_ERRORS) },
      },
    },
    async (request, reply) => {
      return sendAnswer(reply, await answerById(deps, request, request.params.id));
    },
  );
};

/**
 * Makes an upload. One that was not answered for is not kept: nobody knows its id. Whoever takes over a claim finds the one that a process
 * which was killed has made.
 */
async function create(deps: RouteDeps, request: FastifyRequest, claim: OnceClaim | null): Promise<Answer> {
  const id = claim === null ? newId('upload') : idOf(claim);
  const { uploads, once } = accessOf(request).store;
  try {
    return await answerById(deps, request, id);
  } catch (error) {
    // Whoever has taken over may have answered for it.
    const isOurs = claim === null || (await once.renew(claim).catch(() => false));
    // Where it was not made yet there is none; where the database is gone it expires.
    if (isOurs) await uploads.delete(id).catch(() => {});
    throw error;
  }
}

function idOf({ projectId, key, since }: OnceClaim): string {
  return repeatableId('upload', since.getTime(), `${projectId} ${key}`);
}

async function answerById(deps: RouteDeps, request: FastifyRequest, id: string): Promise<Answer> {
  requireId('upload', id);
  const { uploads } = accessOf(request).store;
  const body = request.headers['content-type'] === undefined ? null : deps.uploads.openBody(request);
  // It may fail before tus reads it, while it waits for a lock: that must not end the process.
  body?.on('error', () => {});
  try {
    return await answerTus({ uploads, config: deps.config }, request, id, body);
  } finally {
    body?.destroy();
  }
}
