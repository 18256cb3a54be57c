import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { ExpiresInSeconds, idSchema, Model, Retention, TritforgeError } from '@tritforge/contracts';
import type { NewFile } from '@tritforge/store';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { announcedFileName } from '../../http/content-disposition.js';
import { JSON_ERRORS, MODEL_ERRORS, ONCE_ERRORS, UPLOAD_ERRORS } from '../../http/error-groups.js';
import { idempotencyHeader } from '../../http/idempotency-key.js';
import { lookUp, requireId } from '../../http/lookup.js';
import { pageBody, pageQuery, pageRequest, pageSchema } from '../../http/pagination.js';
import { emptyResponse, jsonResponse, problems } from '../../http/responses.js';
import { answerOnce, sendAnswer } from '../../once/answer-once.js';
import { digestsOf } from '../../once/digests-of.js';
import { acceptUploads } from '../../plugins/accept-uploads.js';
import { accessOf } from '../../plugins/authentication.js';
import { parseJsonBodies } from '../../plugins/json-bodies.js';
import { binaryBody, formBody, locationHeader, MULTIPART, OCTET_STREAM } from '../../uploads/body-schemas.js';
import { checkModel, keepModel, ModelParts } from '../../uploads/model-upload.js';
import { unexpectedPart } from '../../uploads/part-errors.js';
import type { UploadSession } from '../../uploads/upload-session.js';

const params = Type.Object({ id: idSchema('model') });
const tags = ['models'];

/** `/models` */
export const modelRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, deps) => {
  const { inspector, uploads, config } = deps;
  const modelsOf = (request: FastifyRequest) => accessOf(request).store.models;
  acceptUploads(app, [MULTIPART, OCTET_STREAM], { json: false });

  app.post(
    '/models',
    {
      config: { scope: 'models:write' },
      schema: {
        operationId: 'uploadModel',
        summary: 'Upload a model',
        description:
          'The .onnx file alone as the body, or a form with the part `model` and one part `data` per external data ' +
          'file, its file name being the one that the model refers to. The model is checked before it is kept. The ' +
          'same bytes give the same model, which is kept for the longer of both times.',
        tags,
        headers: idempotencyHeader,
        querystring: Type.Object({
          fileName: Type.Optional(
            Type.String({ minLength: 1, maxLength: 255, description: 'File name of a model that is the whole body.' }),
          ),
          expiresInSeconds: Type.Optional(ExpiresInSeconds),
        }),
        body: {
          content: {
            [MULTIPART]: formBody({ model: 'file', data: 'files' }, ['model']),
            [OCTET_STREAM]: binaryBody,
          },
        },
        response: {
          200: jsonResponse('The model was here already.', Model, locationHeader),
          201: jsonResponse('The model is stored.', Model, locationHeader),
          ...problems('QUERY_INVALID', ...ONCE_ERRORS, ...UPLOAD_ERRORS, ...MODEL_ERRORS),
        },
      },
    },
    async (request, reply) => {
      const { fileName, expiresInSeconds = config.modelRetentionSeconds } = request.query;
      const answer = await uploads.serve(reply, async (session) => {
        const files = await receiveFiles(deps, request, fileName, session);
        return answerOnce(request, digestsOf(files), async () => {
          const checks = { inspector, store: accessOf(request).store };
          const model = await checkModel(checks, session, files);
          const { value, created } = await keepModel(checks.store, session, model, expiresInSeconds);
          return { status: created ? 201 : 200, headers: { location: `/models/${value.id}` }, body: value };
        });
      });
      return sendAnswer(reply, answer);
    },
  );

  app.get(
    '/models',
    {
      config: { scope: 'models:read' },
      schema: {
        operationId: 'listModels',
        summary: 'List models',
        tags,
        querystring: Type.Object(pageQuery),
        response: {
          200: jsonResponse('A page of models.', pageSchema(Model)),
          ...problems('QUERY_INVALID', 'CURSOR_INVALID'),
        },
      },
    },
    async (request) => pageBody(await modelsOf(request).list(pageRequest(request.query))),
  );

  app.get(
    '/models/:id',
    {
      config: { scope: 'models:read' },
      schema: {
        operationId: 'getModel',
        summary: 'Get a model',
        tags,
        params,
        response: { 200: jsonResponse('The model.', Model), ...problems('MODEL_NOT_FOUND') },
      },
    },
    async (request) => lookUp('model', request.params.id, (id) => modelsOf(request).get(id)),
  );

  await app.register(modelChanges, deps);

  app.delete(
    '/models/:id',
    {
      config: { scope: 'models:write' },
      schema: {
        operationId: 'deleteModel',
        summary: 'Delete a model',
        description: 'Jobs that have ended keep their artifacts; a job that has not ended keeps the model.',
        tags,
        params,
        response: { 204: emptyResponse('The model is gone.'), ...problems('MODEL_NOT_FOUND', 'RESOURCE_IN_USE') },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      requireId('model', id);
      await modelsOf(request).delete(id);
      return reply.status(204).send();
    },
  );
};

/** What takes JSON below `/models`. */
const modelChanges: FastifyPluginAsyncTypebox<RouteDeps> = async (app, { config }) => {
  parseJsonBodies(app, config);
  app.patch(
    '/models/:id',
    {
      config: { scope: 'models:write' },
      schema: {
        operationId: 'updateModel',
        summary: 'Change how long a model is kept',
        tags,
        params,
        body: Retention,
        response: { 200: jsonResponse('The model.', Model), ...problems('MODEL_NOT_FOUND', ...JSON_ERRORS) },
      },
    },
    async (request) => {
      const { id } = request.params;
      requireId('model', id);
      return accessOf(request).store.models.keepFor(id, request.body.expiresInSeconds);
    },
  );
};

async function receiveFiles(
  { uploads }: RouteDeps,
  request: FastifyRequest,
  fileName: string | undefined,
  session: UploadSession,
): Promise<NewFile[]> {
  const parts = new ModelParts(session);
  if (request.headers['content-type']?.toLowerCase().startsWith(MULTIPART)) {
    await uploads.readParts(request, async (part) => {
      if (part.name === 'model') await parts.takeModel(part);
      else if (part.name === 'data') await parts.takeData(part);
      else throw unexpectedPart(part.name, ['model', 'data']);
    });
  } else if (request.headers['content-type'] !== undefined) {
    const announced = fileName ?? announcedFileName(request.headers['content-disposition']);
    await parts.takeModel({ content: uploads.openBody(request), fileName: announced });
  } else {
    throw new TritforgeError('CONTENT_TYPE_UNSUPPORTED', 'The request has no Content-Type', {
      remediation: `Send ${MULTIPART} with a part "model", or the file itself as ${OCTET_STREAM}.`,
    });
  }
  return parts.files();
}
