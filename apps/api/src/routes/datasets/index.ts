import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Dataset, ExpiresInSeconds, idSchema, Preprocess, Retention } from '@tritforge/contracts';
import type { NewFile } from '@tritforge/store';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { DATASET_ERRORS, JSON_ERRORS, ONCE_ERRORS, UPLOAD_ERRORS } from '../../http/error-groups.js';
import { idempotencyHeader } from '../../http/idempotency-key.js';
import { lookUp, requireId } from '../../http/lookup.js';
import { pageBody, pageQuery, pageRequest, pageSchema } from '../../http/pagination.js';
import { emptyResponse, jsonResponse, problems } from '../../http/responses.js';
import { compileCheck } from '../../http/schema-check.js';
import { answerOnce, sendAnswer } from '../../once/answer-once.js';
import { digestsOf } from '../../once/digests-of.js';
import { acceptUploads } from '../../plugins/accept-uploads.js';
import { accessOf } from '../../plugins/authentication.js';
import { parseJsonBodies } from '../../plugins/json-bodies.js';
import { formBody, locationHeader, MULTIPART } from '../../uploads/body-schemas.js';
import { checkDatasetFile, keepDataset } from '../../uploads/dataset-upload.js';
import { readJsonPart } from '../../uploads/json-part.js';
import { duplicatePart, unexpectedPart } from '../../uploads/part-errors.js';
import { SingleFile } from '../../uploads/single-file.js';
import type { UploadSession } from '../../uploads/upload-session.js';

const params = Type.Object({ id: idSchema('dataset') });
const tags = ['datasets'];
const checkPreprocess = compileCheck(Preprocess, 'PREPROCESS_INVALID', 'preprocess');

/** `/datasets` */
export const datasetRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, deps) => {
  const { inspector, uploads, config } = deps;
  const datasetsOf = (request: FastifyRequest) => accessOf(request).store.datasets;
  acceptUploads(app, [MULTIPART], { json: false });

  app.post(
    '/datasets',
    {
      config: { scope: 'datasets:write' },
      schema: {
        operationId: 'uploadDataset',
        summary: 'Upload a dataset',
        description:
          'A form with the file as the part `data` (.npz of arrays named as the inputs of the model, or .zip or .tar ' +
          'of images with a csv of labels) and, as JSON in the part `preprocess`, how samples become inputs. The same ' +
          'bytes with the same preprocess give the same dataset, which is kept for the longer of both times.',
        tags,
        headers: idempotencyHeader,
        querystring: Type.Object({ expiresInSeconds: Type.Optional(ExpiresInSeconds) }),
        body: { content: { [MULTIPART]: formBody({ data: 'file', preprocess: Preprocess }, ['data']) } },
        response: {
          200: jsonResponse('The dataset was here already.', Dataset, locationHeader),
          201: jsonResponse('The dataset is stored.', Dataset, locationHeader),
          ...problems(
            'QUERY_INVALID',
            'BODY_NOT_JSON',
            'BODY_TOO_LARGE',
            ...ONCE_ERRORS,
            ...UPLOAD_ERRORS,
            ...DATASET_ERRORS,
          ),
        },
      },
    },
    async (request, reply) => {
      const { expiresInSeconds = config.datasetRetentionSeconds } = request.query;
      const answer = await uploads.serve(reply, async (session) => {
        const { file, preprocess } = await receiveParts(deps, request, session);
        return answerOnce(request, { files: digestsOf([file]), preprocess }, async () => {
          const checks = { inspector, store: accessOf(request).store };
          const checked = await checkDatasetFile(checks, session, file, preprocess);
          const { value, created } = await keepDataset(checks.store, session, checked, expiresInSeconds);
          return { status: created ? 201 : 200, headers: { location: `/datasets/${value.id}` }, body: value };
        });
      });
      return sendAnswer(reply, answer);
    },
  );

  app.get(
    '/datasets',
    {
      config: { scope: 'datasets:read' },
      schema: {
        operationId: 'listDatasets',
        summary: 'List datasets',
        tags,
        querystring: Type.Object(pageQuery),
        response: {
          200: jsonResponse('A page of datasets.', pageSchema(Dataset)),
          ...problems('QUERY_INVALID', 'CURSOR_INVALID'),
        },
      },
    },
    async (request) => pageBody(await datasetsOf(request).list(pageRequest(request.query))),
  );

  app.get(
    '/datasets/:id',
    {
      config: { scope: 'datasets:read' },
      schema: {
        operationId: 'getDataset',
        summary: 'Get a dataset',
        tags,
        params,
        response: { 200: jsonResponse('The dataset.', Dataset), ...problems('DATASET_NOT_FOUND') },
      },
    },
    async (request) => lookUp('dataset', request.params.id, (id) => datasetsOf(request).get(id)),
  );

  await app.register(datasetChanges, deps);

  app.delete(
    '/datasets/:id',
    {
      config: { scope: 'datasets:write' },
      schema: {
        operationId: 'deleteDataset',
        summary: 'Delete a dataset',
        description: 'A job that has not ended keeps its datasets.',
        tags,
        params,
        response: { 204: emptyResponse('The dataset is gone.'), ...problems('DATASET_NOT_FOUND', 'RESOURCE_IN_USE') },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      requireId('dataset', id);
      await datasetsOf(request).delete(id);
      return reply.status(204).send();
    },
  );
};

/** What takes JSON below `/datasets`. */
const datasetChanges: FastifyPluginAsyncTypebox<RouteDeps> = async (app, { config }) => {
  parseJsonBodies(app, config);
  app.patch(
    '/datasets/:id',
    {
      config: { scope: 'datasets:write' },
      schema: {
        operationId: 'updateDataset',
        summary: 'Change how long a dataset is kept',
        tags,
        params,
        body: Retention,
        response: { 200: jsonResponse('The dataset.', Dataset), ...problems('DATASET_NOT_FOUND', ...JSON_ERRORS) },
      },
    },
    async (request) => {
      const { id } = request.params;
      requireId('dataset', id);
      return accessOf(request).store.datasets.keepFor(id, request.body.expiresInSeconds);
    },
  );
};

async function receiveParts(
  { uploads, config }: RouteDeps,
  request: FastifyRequest,
  session: UploadSession,
): Promise<{ file: NewFile; preprocess: Preprocess | null }> {
  const data = new SingleFile('data', 'dataset');
  let preprocess: Preprocess | null = null;
  await uploads.readParts(request, async (part) => {
    if (part.name === 'data') return data.take(part, session);
    if (part.name !== 'preprocess') throw unexpectedPart(part.name, ['data', 'preprocess']);
    if (preprocess !== null) throw duplicatePart('preprocess');
    preprocess = checkPreprocess(await readJsonPart(part.content, 'preprocess', config.maxJsonBytes));
  });
  return { file: data.file(), preprocess };
}
