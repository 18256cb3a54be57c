/** The OpenAPI document: valid, complete, and readable without a network. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { checkRecipe, JobRequest } from '@tritforge/contracts';
import { Value } from 'typebox/value';
import type { OpenapiDocument } from './support/conformance.js';
import { expectProblem } from './support/http.js';
import { type Stack, startStack } from './support/stack.js';

let stack: Stack;
let document: OpenapiDocument;
before(async () => {
  stack = await startStack();
  document = (await (await stack.fetch('/openapi.json')).json()) as OpenapiDocument;
});
after(() => stack.close());

test('the document is valid OpenAPI 3.1', async () => {
  assert.match(document.openapi, /^3\.1\./);
  const { valid, errors } = await new Validator().validate({ ...document });
  assert.ok(valid, JSON.stringify(errors));
});

test('every route is in the document', () => {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => `${method.toUpperCase()} ${path} ${operationId}`),
  );
  assert.deepEqual(operations.sort(), [
    'DELETE /datasets/{id} deleteDataset',
    'DELETE /jobs/{id} deleteJob',
    'DELETE /models/{id} deleteModel',
    'DELETE /uploads/direct/{id} deleteDirectUpload',
    'DELETE /uploads/{id} deleteUpload',
    'DELETE /webhooks/{id} deleteWebhook',
    'GET / getIndex',
    'GET /artifacts/{id} getArtifact',
    'GET /artifacts/{id}/content downloadArtifact',
    'GET /audit listAudit',
    'GET /datasets listDatasets',
    'GET /datasets/{id} getDataset',
    'GET /events followJobs',
    'GET /health/live isLive',
    'GET /health/ready isReady',
    'GET /jobs listJobs',
    'GET /jobs/{id} getJob',
    'GET /jobs/{id}/artifacts listArtifactsOfJob',
    'GET /jobs/{id}/events followJob',
    'GET /jobs/{id}/report getReport',
    'GET /jobs/{id}/report.html getReportPage',
    'GET /me whoAmI',
    'GET /metrics getMetrics',
    'GET /models listModels',
    'GET /models/{id} getModel',
    'GET /openapi.json getOpenapi',
    'GET /problems listProblems',
    'GET /problems/{code} getProblem',
    'GET /uploads/direct/{id} getDirectUpload',
    'GET /webhooks listWebhooks',
    'GET /webhooks/{id} getWebhook',
    'GET /webhooks/{id}/deliveries listDeliveries',
    'HEAD /uploads/{id} getUploadOffset',
    'OPTIONS /uploads describeUploads',
    'PATCH /datasets/{id} updateDataset',
    'PATCH /jobs/{id} updateJob',
    'PATCH /models/{id} updateModel',
    'PATCH /uploads/{id} appendToUpload',
    'POST /datasets uploadDataset',
    'POST /jobs createJob',
    'POST /jobs/{id}/cancel cancelJob',
    'POST /models uploadModel',
    'POST /uploads createUpload',
    'POST /uploads/direct createDirectUpload',
    'POST /uploads/direct/{id}/finish finishDirectUpload',
    'POST /uploads/direct/{id}/parts signUploadParts',
    'POST /webhooks createWebhook',
    'POST /webhooks/{id}/deliveries/{delivery}/replay replayDelivery',
    'POST /webhooks/{id}/rotate rotateWebhook',
    'POST /webhooks/{id}/test testWebhook',
  ]);
});

test('every route names its problems, with an example of each code', () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, { responses }] of Object.entries(methods)) {
      for (const [status, { content }] of Object.entries(responses).filter(([code]) => code >= '400')) {
        const media = content?.['application/problem+json'] as { examples?: Record<string, { value: object }> };
        const examples = Object.entries(media?.examples ?? {});
        assert.ok(examples.length > 0, `${method} ${path} ${status}`);
        for (const [code, { value }] of examples) assert.equal((value as { code: string }).code, code);
      }
    }
  }
});

test('a job can be sent with every use of data, as a form and as JSON, and its examples are what it accepts', () => {
  const { content } = document.paths['/jobs']!.post!.requestBody!;
  const formParts = Object.keys((content['multipart/form-data']!.schema as { properties: object }).properties);
  assert.deepEqual(formParts, ['model', 'data', 'calibration', 'evaluation', 'training', 'job']);
  const examples = Object.values(content['application/json']!.examples ?? {}).map(({ value }) => value as JobRequest);
  for (const example of examples) {
    assert.ok(Value.Check(JobRequest, example), JSON.stringify(Value.Errors(JobRequest, example)));
    checkRecipe(example.recipe ?? {});
  }
  const used = new Set(examples.flatMap(({ datasets = {} }) => Object.keys(datasets)));
  assert.deepEqual([...used], ['calibration', 'evaluation', 'training']);
});

test('what is a file says so to generators of clients', () => {
  const form = document.paths['/jobs']!.post!.requestBody!.content['multipart/form-data']!.schema;
  const { model, data } = (form as { properties: Record<string, { format?: string; items?: object }> }).properties;
  const download = document.paths['/artifacts/{id}/content']!.get!.responses['200']!.content!;
  for (const schema of [model!, data!.items!, download['application/octet-stream']!.schema])
    assert.equal((schema as { format?: string }).format, 'binary');
});

test('every path answers other methods with 405 and the methods that it has', async () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    const response = await stack.fetch(path.replace('{id}', 'x').replace('{code}', 'x').replace('{delivery}', 'x'), {
      method: 'PUT',
    });
    await expectProblem(response, 'METHOD_NOT_ALLOWED');
    // Whatever takes a GET takes a HEAD.
    const implied = 'get' in methods ? 'HEAD' : '';
    const allowed = (response.headers.get('allow') ?? '').split(', ').filter((method) => method !== implied);
    assert.deepEqual(
      allowed.sort(),
      Object.keys(methods)
        .map((method) => method.toUpperCase())
        .sort(),
      path,
    );
  }
});

test('every error code has a page of its own', async () => {
  const { items } = (await (await stack.fetch('/problems')).json()) as { items: { code: string }[] };
  assert.ok(items.length > 60);
  const first = items[0]!;
  assert.deepEqual(await (await stack.fetch(`/problems/${first.code}`)).json(), first);
  await expectProblem(await stack.fetch('/problems/NO_SUCH_CODE'), 'NOT_FOUND');
  await expectProblem(await stack.fetch('/problems/toString'), 'NOT_FOUND');
});

test('the documentation loads nothing from elsewhere', async () => {
  const page = await fetch(`${stack.url}/docs`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-security-policy') ?? '', /^default-src 'self'/);
  const html = await page.text();
  const sources = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source!);
  assert.ok(sources.length >= 3);
  for (const source of sources) {
    assert.match(source, /^\/docs\/static\//);
    assert.equal((await fetch(`${stack.url}${source}`)).status, 200, source);
  }
});
