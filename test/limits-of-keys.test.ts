/** What a key may use: requests, storage and minutes, and what it is told of them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type ApiKey, type Project, ROLES } from '@tritforge/contracts';
import { openAccess } from '@tritforge/store';
import { expectJson, expectProblem, file, form } from './support/http.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

let stack: Stack;
let headers: Record<string, string>;
before(async () => {
  stack = await startStack();
  const access = await openAccess(stack.databaseUrl);
  const project = await access.projects.create('limited', 200_000);
  const limits = { requestsPerMinute: 8, concurrentJobs: 1, jobMinutesPerDay: 60 };
  const made = { projectId: project.id, name: 'limited', scopes: ROLES.developer, limits };
  headers = { authorization: `Bearer ${(await access.keys.create(made)).secret}` };
  await access.close();
});
after(() => stack.close());

const upload = (seed: number) => {
  const init = form([['model', file(classifier(seed), 'm.onnx')]]);
  return stack.fetch('/models', { ...init, headers: { ...(init.headers as Record<string, string>), ...headers } });
};

test('a key sees what it is, may do and has used, is refused what is too much, and is told when to come back', async () => {
  const size = classifier(1).length;
  assert.ok(size < 200_000 && 2 * size > 200_000);
  assert.equal((await upload(1)).status, 201);
  await expectProblem(await upload(2), 'QUOTA_EXCEEDED');
  assert.equal((await upload(1)).status, 200, 'what is there takes no more room');

  const seen = await stack.fetch('/me', { headers });
  const me = await expectJson<{
    project: Project;
    key: ApiKey;
    used: { storageBytes: object; jobMinutesOfDay: number };
  }>(seen, 200);
  assert.equal(me.project.storageBytes, 200_000);
  assert.deepEqual(me.key.limits, { requestsPerMinute: 8, concurrentJobs: 1, jobMinutesPerDay: 60 });
  assert.deepEqual(me.used, { storageBytes: { models: size, datasets: 0, artifacts: 0 }, jobMinutesOfDay: 0 });
  assert.equal(seen.headers.get('ratelimit-policy'), '"key";q=8;w=60');
  assert.match(seen.headers.get('ratelimit') ?? '', /^"key";r=4;t=\d+$/);

  for (let i = 0; i < 4; i++) assert.equal((await stack.fetch('/jobs', { headers })).status, 200);
  const refused = await stack.fetch('/jobs', { headers });
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  assert.match(refused.headers.get('ratelimit') ?? '', /^"key";r=0;t=\d+$/);
  await expectProblem(refused, 'RATE_LIMITED');
  assert.equal((await stack.fetch('/jobs')).status, 200, 'others are not limited by it');
});

test('who needs no key can ask as well', async () => {
  const me = await expectJson<{ project: Project; key: null }>(await stack.fetch('/me'), 200);
  assert.deepEqual([me.project.name, me.key], ['default', null]);
});
