import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import {
  DirectUpload,
  DirectUploadRequest,
  type ErrorCode,
  idSchema,
  newId,
  PartsToSign,
  SentParts,
  SignedPart,
  TritforgeError,
  WRITING,
} from '@tritforge/contracts';
import type { Answer, DirectUploadRepository, OnceClaim } from '@tritforge/store';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { JSON_ERRORS, ONCE_ERRORS } from '../../http/error-groups.js';
import { idempotencyHeader } from '../../http/idempotency-key.js';
import { lookUp, requireId } from '../../http/lookup.js';
import { emptyResponse, jsonResponse, problems } from '../../http/responses.js';
import { answerOnce, sendAnswer } from '../../once/answer-once.js';
import { accessOf } from '../../plugins/authentication.js';
import { locationHeader } from '../../uploads/body-schemas.js';
import { uploadLimits } from '../../uploads/upload-limits.js';

const PATH = '/uploads/direct';
const tags = ['uploads'];
const params = Type.Object({ id: idSchema('upload') });
/** Whoever may send files in a form may send them straight to the bucket. */
const config = { scope: WRITING };

const FOUND_ERRORS: readonly ErrorCode[] = ['UPLOAD_DIRECT_UNAVAILABLE', 'UPLOAD_NOT_FOUND'];
const POST_ERRORS: readonly ErrorCode[] = [...JSON_ERRORS, ...ONCE_ERRORS, 'HEADER_INVALID'];

/** `/uploads/direct`: files in parts, from the client straight to the bucket of the service */
export const directUploadRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, deps) => {
  app.post(
    PATH,
    {
      config,
      schema: {
        operationId: 'createDirectUpload',
        summary: 'Start an upload straight to the bucket',
        description:
          'Where the service keeps its files in a bucket that clients reach, they send large files there, in parts of `partBytes`. ' +
          '`POST /uploads/direct/{id}/parts` gives the addresses, `POST /uploads/direct/{id}/finish` makes a file of the parts, which is then ' +
          'used as one that came by tus: `-F model=upload:upl_…`. Where there is no such bucket the answer is UPLOAD_DIRECT_UNAVAILABLE: use ' +
          '`POST /uploads`.',
        tags,
        headers: idempotencyHeader,
        body: DirectUploadRequest,
        response: {
          201: jsonResponse('The upload waits for its parts.', DirectUpload, locationHeader),
          ...problems(
            ...POST_ERRORS,
            'UPLOAD_DIRECT_UNAVAILABLE',
            'UPLOAD_TOO_LARGE',
            'QUOTA_EXCEEDED',
            'STORAGE_FULL',
          ),
        },
      },
    },
    async (request, reply) => {
      const uploads = directUploadsOf(request);
      const { sizeBytes, fileName = null, digest = null } = request.body;
      requireAllowedSize(sizeBytes, deps.config.maxUploadBytes);
      const answerOf = (upload: DirectUpload): Answer => ({
        status: 201,
        headers: { location: `${PATH}/${upload.id}` },
        body: upload,
      });
      const work = async (claim: OnceClaim | null) => {
        const announced = { id: newId('upload'), sizeBytes, fileName, digest };
        const once = claim === null ? undefined : { claim, answerOf };
        return answerOf(await uploads.create(announced, uploadLimits(deps.config), once));
      };
      return sendAnswer(reply, await answerOnce(request, request.body, work, 'within'));
    },
  );

  app.get(
    `${PATH}/:id`,
    {
      config,
      schema: {
        operationId: 'getDirectUpload',
        summary: 'Get an upload straight to the bucket',
        tags,
        params,
        response: { 200: jsonResponse('The upload.', DirectUpload), ...problems(...FOUND_ERRORS) },
      },
    },
    async (request) => lookUp('upload', request.params.id, (id) => directUploadsOf(request).get(id)),
  );

  app.post(
    `${PATH}/:id/parts`,
    {
      config,
      schema: {
        operationId: 'signUploadParts',
        summary: 'Get addresses for parts of an upload',
        description:
          'Each takes the bytes of its digest alone, by PUT with the headers that belong to it, for an hour at most. They can be asked for as ' +
          'often as they are needed, so an Idempotency-Key changes nothing here. A part that is sent again replaces the one before.',
        tags,
        params,
        body: PartsToSign,
        response: {
          200: jsonResponse('Addresses, in the order of the parts.', Type.Object({ items: Type.Array(SignedPart) })),
          ...problems(...JSON_ERRORS, 'HEADER_INVALID', ...FOUND_ERRORS, 'UPLOAD_PARTS_INVALID'),
        },
      },
    },
    async (request, reply) => {
      const uploads = directUploadsOf(request);
      requireId('upload', request.params.id);
      // Whoever has an address may write there.
      reply.header('cache-control', 'no-store');
      return { items: await uploads.sign(request.params.id, request.body.parts) };
    },
  );

  app.post(
    `${PATH}/:id/finish`,
    {
      config,
      schema: {
        operationId: 'finishDirectUpload',
        summary: 'Make a file of the parts of an upload',
        description:
          'The bucket joins the parts, and the service reads the file once and compares every part and the whole with what was announced, ' +
          'which takes as long as reading does. When something differs the upload is deleted. May be sent again: a finished upload stays.',
        tags,
        params,
        headers: idempotencyHeader,
        body: SentParts,
        response: {
          200: jsonResponse('The upload can be used, until it expires or is deleted.', DirectUpload),
          ...problems(
            ...POST_ERRORS,
            ...FOUND_ERRORS,
            'UPLOAD_PARTS_INVALID',
            'UPLOAD_UNFINISHED',
            'UPLOAD_LOCKED',
            'UPLOAD_INCOMPLETE',
            'UPLOAD_TOO_LARGE',
            'DIGEST_MISMATCH',
            'STORAGE_FULL',
          ),
        },
      },
    },
    async (request, reply) => {
      const uploads = directUploadsOf(request);
      const { id } = request.params;
      requireId('upload', id);
      const answer = await answerOnce(request, request.body, async () => {
        return { status: 200, headers: {}, body: await uploads.finish(id, request.body.parts) };
      });
      return sendAnswer(reply, answer);
    },
  );

  app.delete(
    `${PATH}/:id`,
    {
      config,
      schema: {
        operationId: 'deleteDirectUpload',
        summary: 'Delete an upload straight to the bucket',
        description: 'Finished or not. Models and datasets that were made from it stay.',
        tags,
        params,
        response: { 204: emptyResponse('It is gone.'), ...problems(...FOUND_ERRORS, 'UPLOAD_LOCKED') },
      },
    },
    async (request, reply) => {
      const uploads = directUploadsOf(request);
      requireId('upload', request.params.id);
      await uploads.delete(request.params.id);
      return reply.status(204).send();
    },
  );
};

/** @throws TritforgeError UPLOAD_DIRECT_UNAVAILABLE */
function directUploadsOf(request: FastifyRequest): DirectUploadRepository {
  const { directUploads } = accessOf(request).store;
  if (directUploads !== null) return directUploads;
  throw new TritforgeError('UPLOAD_DIRECT_UNAVAILABLE', 'This service has no bucket that clients reach', {
    remediation: 'Send the file to the service, in pieces by tus (POST /uploads) or in a form.',
  });
}

function requireAllowedSize(sizeBytes: number, maxBytes: number): void {
  if (sizeBytes <= maxBytes) return;
  throw new TritforgeError('UPLOAD_TOO_LARGE', `The file has ${sizeBytes} bytes, and this service takes ${maxBytes}`, {
    field: 'sizeBytes',
    remediation: 'Send a smaller file, or ask the operator to raise TRITFORGE_MAX_UPLOAD_BYTES.',
  });
}
