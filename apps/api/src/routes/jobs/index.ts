import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import {
  Artifact,
  DATASET_ROLES,
  idSchema,
  isTerminal,
  Job,
  JobOptions,
  JobRequest,
  Report,
  Retention,
  TritforgeError,
} from '@tritforge/contracts';
import { REPORT_SECURITY_POLICY, renderReport } from '@tritforge/report-html';
import type { ProjectStore } from '@tritforge/store';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { DATASET_ERRORS, JSON_ERRORS, MODEL_ERRORS, ONCE_ERRORS, UPLOAD_ERRORS } from '../../http/error-groups.js';
import { matchesEtag, weakEtag } from '../../http/etag.js';
import { idempotencyHeader } from '../../http/idempotency-key.js';
import { lookUp, requireId } from '../../http/lookup.js';
import { pageBody, pageQuery, pageRequest, pageSchema } from '../../http/pagination.js';
import { preferHeader, preferredWait, waitFor } from '../../http/prefer-wait.js';
import { emptyResponse, htmlResponse, jsonResponse, problems } from '../../http/responses.js';
import { sendAnswer, sendOnce } from '../../once/answer-once.js';
import { acceptUploads } from '../../plugins/accept-uploads.js';
import { accessOf } from '../../plugins/authentication.js';
import { formBody, locationHeader, MULTIPART } from '../../uploads/body-schemas.js';
import { createJob, POLL_SECONDS } from './create-job.js';
import { createJobFromForm } from './create-job-from-form.js';
import { jobFilter, jobFilterQuery } from './job-filter.js';

const params = Type.Object({ id: idSchema('job') });
const tags = ['jobs'];

const retryAfterHeader = { 'Retry-After': Type.Integer({ description: 'Seconds until the next look at the job.' }) };

const EXAMPLE_DATASETS = {
  calibration: 'dst_01k9zq4b8c5n7m2x4z6q8w1e3r',
  evaluation: 'dst_01k9zq4h2j6k8l1p3o5i7u9y2t',
};
const EXAMPLE_REQUESTS: JobRequest[] = [
  {
    modelId: 'mdl_01k9zq3v5w8e6r2t4y7u9i1o3p',
    recipe: { method: 'fgq', weights: { groupSize: 4 } },
    datasets: EXAMPLE_DATASETS,
    metric: 'top1',
    gates: { maxAccuracyDrop: 1 },
    labels: { pipeline: 'nightly' },
  },
  {
    modelId: 'mdl_01k9zq3v5w8e6r2t4y7u9i1o3p',
    recipe: { fineTune: { minutes: 10, augment: { shift: 2, mirror: true } } },
    datasets: { ...EXAMPLE_DATASETS, training: 'dst_01k9zq4m7n2b5v8c1x4z6a9s3d' },
  },
];

const DATASET_PARTS = Object.fromEntries(DATASET_ROLES.map((role) => [role, 'file' as const]));

/** `/jobs` */
export const jobRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, deps) => {
  const { store, uploads } = deps;
  const find = ({ jobs }: ProjectStore, id: string) => lookUp('job', id, (known) => jobs.get(known));
  const findReport = async (store: ProjectStore, id: string) => {
    const job = await find(store, id);
    if (!isTerminal(job.state)) throw notReady(job);
    const report = await store.jobs.getReport(id);
    if (report === null) throw withoutReport(job);
    return report;
  };

  await app.register(async (scope) => {
    acceptUploads(scope, [MULTIPART], { json: true });
    scope.post(
      '/jobs',
      {
        config: { scope: 'jobs:write' },
        schema: {
          operationId: 'createJob',
          headers: Type.Object({ ...idempotencyHeader.properties, ...preferHeader.properties }),
          summary: 'Quantize a model',
          description:
            'As JSON, a job names a model and datasets that are stored. As a form it brings them along: the part ' +
            '`model`, one part `data` per external data file, `calibration`, `evaluation`, `training` and, as JSON, ' +
            '`job`, in any order. When a check fails nothing is stored. Follow the job at Location.',
          tags,
          body: {
            content: {
              'application/json': { schema: { ...JobRequest, examples: EXAMPLE_REQUESTS } },
              [MULTIPART]: formBody({ model: 'file', data: 'files', ...DATASET_PARTS, job: JobOptions }, ['model']),
            },
          },
          response: {
            200: jsonResponse('The job has ended within the seconds of `Prefer: wait=n`.', Job, locationHeader),
            202: jsonResponse('The job is queued.', Job, { ...locationHeader, ...retryAfterHeader }),
            ...problems(
              'BODY_INVALID',
              'BODY_NOT_JSON',
              'BODY_TOO_LARGE',
              'MODEL_NOT_FOUND',
              'DATASET_NOT_FOUND',
              'RECIPE_INVALID',
              'CALIBRATION_REQUIRED',
              'METRIC_UNSUPPORTED',
              'CONTENT_CORRUPT',
              ...ONCE_ERRORS,
              ...UPLOAD_ERRORS,
              ...MODEL_ERRORS,
              ...DATASET_ERRORS,
            ),
          },
        },
      },
      async (request, reply) => {
        const contentType = request.headers['content-type']?.toLowerCase();
        if (contentType === undefined) throw noContentType();
        const answer = contentType.startsWith(MULTIPART)
          ? await uploads.serve(reply, (session) => createJobFromForm(deps, request, session))
          : await uploads.serveStored(reply, (session) =>
              createJob(deps, request, session, request.body as JobRequest),
            );
        if (preferredWait(request) === null) return sendAnswer(reply, answer);
        const { id } = answer.body as Job;
        const read = () => accessOf(request).store.jobs.get(id);
        const isOver = (job: Job | null) => job === null || isTerminal(job.state);
        const job = await waitFor({ watch: store.watch, jobId: id }, request, reply, read, isOver);
        // It was deleted: by now, or before the request was sent again.
        if (job === null) return sendAnswer(reply, answer);
        return sendAnswer(
          reply,
          isTerminal(job.state) ? { ...answer, status: 200, body: job } : { ...answer, body: job },
        );
      },
    );
  });

  app.get(
    '/jobs',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'listJobs',
        summary: 'List jobs',
        tags,
        querystring: Type.Object({ ...pageQuery, ...jobFilterQuery }),
        response: {
          200: jsonResponse('A page of jobs.', pageSchema(Job)),
          ...problems('QUERY_INVALID', 'CURSOR_INVALID'),
        },
      },
    },
    async (request) => {
      const { jobs } = accessOf(request).store;
      return pageBody(await jobs.list(jobFilter(request.query), pageRequest(request.query)));
    },
  );

  app.get(
    '/jobs/:id',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'getJob',
        summary: 'Get a job',
        description:
          'Send the ETag of the last answer in If-None-Match to get 304 while nothing has changed. `Prefer: wait=n` waits for the end of ' +
          'the job, and with If-None-Match for the next change.',
        tags,
        params,
        headers: preferHeader,
        response: {
          200: jsonResponse('The job.', Job, { ETag: Type.String(), ...retryAfterHeader }),
          304: emptyResponse('The job is as the ETag in If-None-Match has it.'),
          ...problems('JOB_NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const known = request.headers['if-none-match'];
      const read = () => find(accessOf(request).store, id);
      const isNews = (job: Job) =>
        isTerminal(job.state) || (known !== undefined && !matchesEtag(known, weakEtag(JSON.stringify(job))));
      const job = await waitFor({ watch: store.watch, jobId: id }, request, reply, read, isNews);
      const etag = weakEtag(JSON.stringify(job));
      reply.headers({ etag, 'cache-control': 'no-cache', vary: 'prefer' });
      if (!isTerminal(job.state)) reply.header('retry-after', String(POLL_SECONDS));
      if (matchesEtag(known, etag)) return reply.status(304).send();
      return job;
    },
  );

  app.post(
    '/jobs/:id/cancel',
    {
      config: { scope: 'jobs:write' },
      schema: {
        operationId: 'cancelJob',
        headers: idempotencyHeader,
        summary: 'Cancel a job',
        description: 'Takes effect at once; canceling a canceled job changes nothing.',
        tags,
        params,
        response: {
          200: jsonResponse('The job is canceled.', Job),
          ...problems(
            'JOB_NOT_FOUND',
            'JOB_ALREADY_ENDED',
            'CONTENT_TYPE_UNSUPPORTED',
            'BODY_NOT_JSON',
            'HEADER_INVALID',
            ...ONCE_ERRORS,
          ),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      requireId('job', id);
      return sendOnce(request, reply, 200, () => accessOf(request).store.cancelJob(id));
    },
  );

  app.patch(
    '/jobs/:id',
    {
      config: { scope: 'jobs:write' },
      schema: {
        operationId: 'updateJob',
        summary: 'Change how long a job is kept',
        description: 'With its report, artifacts and events.',
        tags,
        params,
        body: Retention,
        response: { 200: jsonResponse('The job.', Job), ...problems('JOB_NOT_FOUND', ...JSON_ERRORS) },
      },
    },
    async (request) => {
      const { id } = request.params;
      requireId('job', id);
      return accessOf(request).store.jobs.keepFor(id, request.body.expiresInSeconds);
    },
  );

  app.delete(
    '/jobs/:id',
    {
      config: { scope: 'jobs:write' },
      schema: {
        operationId: 'deleteJob',
        summary: 'Delete a job',
        description:
          'With its report, artifacts and events. A job that has not ended is canceled first. Its model and datasets stay, and what it used ' +
          'of quotas stays used.',
        tags,
        params,
        response: { 204: emptyResponse('The job is gone.'), ...problems('JOB_NOT_FOUND', 'JOB_NOT_ENDED') },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      requireId('job', id);
      await accessOf(request).store.deleteJob(id);
      return reply.status(204).send();
    },
  );

  app.get(
    '/jobs/:id/report',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'getReport',
        summary: 'Get the report of a job',
        tags,
        params,
        response: {
          200: jsonResponse('What was asked, what was done and what it measured to.', Report),
          ...problems('JOB_NOT_FOUND', 'REPORT_NOT_READY', 'REPORT_UNAVAILABLE'),
        },
      },
    },
    async (request) => findReport(accessOf(request).store, request.params.id),
  );

  app.get(
    '/jobs/:id/report.html',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'getReportPage',
        summary: 'Get the report of a job as a page',
        description: 'One HTML file for people: it loads nothing else, runs no script, and can be kept and printed.',
        tags,
        params,
        response: {
          200: htmlResponse('The page.', { 'Content-Security-Policy': Type.String() }),
          ...problems('JOB_NOT_FOUND', 'REPORT_NOT_READY', 'REPORT_UNAVAILABLE'),
        },
      },
    },
    async (request, reply) => {
      const page = renderReport(await findReport(accessOf(request).store, request.params.id));
      return reply
        .type('text/html; charset=utf-8')
        .header('content-security-policy', REPORT_SECURITY_POLICY)
        .send(page);
    },
  );

  app.get(
    '/jobs/:id/artifacts',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'listArtifactsOfJob',
        summary: 'List the artifacts of a job',
        tags,
        params,
        response: {
          200: jsonResponse(
            'The artifacts; none before the job has succeeded.',
            Type.Object({ items: Type.Array(Artifact) }),
          ),
          ...problems('JOB_NOT_FOUND'),
        },
      },
    },
    async (request) => {
      const { store } = accessOf(request);
      const { id } = request.params;
      await find(store, id);
      return { items: await store.artifacts.listByJob(id) };
    },
  );
};

function noContentType(): TritforgeError {
  return new TritforgeError('CONTENT_TYPE_UNSUPPORTED', 'The request has no Content-Type', {
    remediation: `Send the job as application/json, or with its files as ${MULTIPART}.`,
  });
}

function notReady(job: Job): TritforgeError {
  return new TritforgeError('REPORT_NOT_READY', `The job ${job.id} is ${job.state}`, {
    remediation: `Look at /jobs/${job.id} until the job has ended.`,
  });
}

function withoutReport({ id, state, error }: Job): TritforgeError {
  const reason = error ? `: ${error.code}, ${error.message}` : '';
  return new TritforgeError('REPORT_UNAVAILABLE', `The job ${id} ended as ${state} without a report${reason}`, {
    remediation: error?.remediation ?? 'Start a new job.',
    ...(error?.node !== undefined && { node: error.node }),
    ...(error?.opType !== undefined && { opType: error.opType }),
  });
}
