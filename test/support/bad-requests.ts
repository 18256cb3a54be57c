import { once } from 'node:events';
import { connect } from 'node:net';
import { file, form, json } from './http.js';
import { classifier } from './models.js';
import type { Stack } from './stack.js';

/** Ids that exist. */
interface Known {
  readonly modelId: string;
  readonly dataId: string;
}

/** A request that must be refused, and the code it must be refused with. */
export interface BadRequest {
  readonly what: string;
  readonly code: string;
  readonly send: (stack: Stack, known: Known) => Promise<Response>;
}

const get = (what: string, code: string, path: string, init?: RequestInit): BadRequest => ({
  what,
  code,
  send: (stack) => stack.fetch(path, init),
});
const post = (what: string, code: string, path: string, init: RequestInit): BadRequest => ({
  what,
  code,
  send: (stack) => stack.fetch(path, { method: 'POST', ...init }),
});

const model = ['model', file(classifier(5), 'm.onnx')] as const;
const OCTETS = { 'content-type': 'application/octet-stream' };
const JSON_TYPE = { 'content-type': 'application/json' };
const NO_ID = '0'.repeat(26);

/** Requests that are wrong in themselves, whatever files they carry. */
export const BAD_REQUESTS: readonly BadRequest[] = [
  get('an unknown route', 'NOT_FOUND', '/modells'),
  get('a method that a route does not have', 'METHOD_NOT_ALLOWED', '/models', { method: 'PUT' }),
  get('a model id that cannot be one', 'MODEL_NOT_FOUND', '/models/%00'),
  get('an unknown dataset', 'DATASET_NOT_FOUND', `/datasets/dst_${NO_ID}`),
  get('an unknown job', 'JOB_NOT_FOUND', `/jobs/job_${NO_ID}`),
  get('a report of an unknown job', 'JOB_NOT_FOUND', `/jobs/job_${NO_ID}/report`),
  get('an unknown artifact', 'ARTIFACT_NOT_FOUND', `/artifacts/art_${NO_ID}/content`),
  get('a path that is not UTF-8', 'REQUEST_MALFORMED', '/models/%ff'),
  get('a cursor of another thing than an id', 'CURSOR_INVALID', `/jobs?cursor=${btoa("' OR 1=1")}`),
  get('a bad cursor', 'CURSOR_INVALID', '/jobs?cursor=nonsense'),
  get('a page of 100000 items', 'QUERY_INVALID', '/models?limit=100000'),
  get('an unknown state', 'QUERY_INVALID', '/jobs?state=sleeping'),
  get('a label without a value', 'QUERY_INVALID', '/jobs?label=team'),
  get('a label with NUL', 'QUERY_INVALID', '/jobs?label=team=%00'),
  post('canceling an unknown job', 'JOB_NOT_FOUND', `/jobs/job_${NO_ID}/cancel`, {}),
  get('deleting an unknown job', 'JOB_NOT_FOUND', `/jobs/job_${NO_ID}`, { method: 'DELETE' }),
  get('keeping an unknown model', 'MODEL_NOT_FOUND', `/models/mdl_${NO_ID}`, json({ expiresInSeconds: null }, 'PATCH')),
  get('keeping something for a second', 'BODY_INVALID', `/jobs/job_${NO_ID}`, json({ expiresInSeconds: 1 }, 'PATCH')),
  get('a PATCH of another type', 'CONTENT_TYPE_UNSUPPORTED', `/models/mdl_${NO_ID}`, {
    ...form([model]),
    method: 'PATCH',
  }),
  post('a model for a second', 'QUERY_INVALID', '/models?expiresInSeconds=1', form([model])),
  post('a dataset for no number', 'QUERY_INVALID', '/datasets?expiresInSeconds=soon', form([model])),
  post('a job part for a second', 'BODY_INVALID', '/jobs', form([model, ['job', '{"expiresInSeconds":1}']])),
  post('a body that is no JSON', 'BODY_NOT_JSON', '/jobs', json('{"modelId": ')),
  post('an empty JSON body', 'BODY_NOT_JSON', '/jobs', json('')),
  post('JSON that is no object', 'BODY_INVALID', '/jobs', json('[]')),
  post('JSON nested 100000 deep', 'BODY_INVALID', '/jobs', json(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)),
  post('a JSON body of 2 MiB', 'BODY_TOO_LARGE', '/jobs', json({ modelId: 'x'.repeat(2 ** 21) })),
  post('a body of an unknown type', 'CONTENT_TYPE_UNSUPPORTED', '/jobs', { body: 'hello' }),
  post('an upload without a body', 'CONTENT_TYPE_UNSUPPORTED', '/models', {}),
  post('a form without a boundary', 'MULTIPART_INVALID', '/models', {
    headers: { 'content-type': 'multipart/form-data' },
    body: 'x',
  }),
  post(
    'a form without a model',
    'MULTIPART_PART_MISSING',
    '/models',
    form([['data', file(Buffer.from('x'), 'w.bin')]]),
  ),
  post('a form with two models', 'MULTIPART_PART_DUPLICATE', '/models', form([model, model])),
  post('a form with an unknown part', 'MULTIPART_PART_UNEXPECTED', '/models', form([model, ['weights', 'x']])),
  post('a data file that is the folder of another', 'MULTIPART_INVALID', '/models', form([model, ...nestedFiles()])),
  post('a body that is compressed', 'CONTENT_TYPE_UNSUPPORTED', '/models', {
    headers: { ...OCTETS, 'content-encoding': 'gzip' },
    body: classifier(6),
  }),
  post('a form that ends in the middle', 'UPLOAD_INCOMPLETE', '/models', cutInHalf(form([model]))),
  post('a form of 300 parts', 'MULTIPART_INVALID', '/models', form(manyParts(300))),
  post('a job part that is no JSON', 'BODY_NOT_JSON', '/jobs', form([['job', 'fgq'], model])),
  post('a job part with an unknown recipe', 'BODY_INVALID', '/jobs', form([model, ['job', '{"recipe":{"bits":2}}']])),
  post('a job part of 2 MiB', 'BODY_TOO_LARGE', '/jobs', form([['job', ' '.repeat(2 ** 21)], model])),
  post('a form job without calibration data', 'CALIBRATION_REQUIRED', '/jobs', form([model])),
  post(
    'a form with two training datasets',
    'MULTIPART_PART_DUPLICATE',
    '/jobs',
    form([model, ...[1, 2].map(() => ['training', file(Buffer.from('x'), 't.npz')] as const)]),
  ),
  post('an upload that is too large', 'UPLOAD_TOO_LARGE', '/models', {
    headers: OCTETS,
    body: Buffer.alloc(9 * 2 ** 20),
  }),
  post('an upload with another digest', 'DIGEST_MISMATCH', '/models', {
    headers: { ...OCTETS, 'content-digest': `sha-256=:${'A'.repeat(43)}=:` },
    body: classifier(6),
  }),
  post('a digest that is too short', 'HEADER_INVALID', '/models', {
    headers: { ...OCTETS, 'content-digest': 'sha-256=:AAAA:' },
    body: classifier(6),
  }),
  get('headers of 20 kB', 'HEADERS_TOO_LARGE', '/models', { headers: { 'x-long': 'x'.repeat(20_000) } }),
  ...strangeNames(),
  ...strangeJson(),
  ...strangeTypes(),
  {
    what: 'a request without a host',
    code: 'REQUEST_MALFORMED',
    send: ({ url }) => sendRaw(url, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'),
  },
  {
    what: 'a connection that does not speak HTTP',
    code: 'REQUEST_MALFORMED',
    send: ({ url }) => sendRaw(url, 'HELO me\r\n\r\n'),
  },
];

/** Names that would lead elsewhere, end a header or fill the log. */
function strangeNames(): BadRequest[] {
  const named = (fileName: string) => form([model, ['data', file(Buffer.from('x'), fileName)]]);
  const escaping = ['/etc/passwd', '../weights', 'a/../../b', 'C:\\weights', '..\\weights', '\\\\host\\share'];
  const unusable = ['', '.', 'a//b', 'a/./b', 'a\0b', 'a\tb', 'a\u007fb', 'x'.repeat(256), `${'x/'.repeat(600)}x`];
  return [
    get('an id that leads to another folder', 'MODEL_NOT_FOUND', '/models/..%2f..%2fetc%2fpasswd'),
    get('an id that leads to an absolute path', 'DATASET_NOT_FOUND', '/datasets/%2fetc%2fpasswd'),
    get('an id with line breaks', 'JOB_NOT_FOUND', '/jobs/x%0d%0aSet-Cookie:%20a=b'),
    get('an id of 5000 characters', 'MODEL_NOT_FOUND', `/models/${'x'.repeat(5000)}`),
    get('an upload of 500 characters', 'UPLOAD_NOT_FOUND', `/uploads/${'x'.repeat(500)}`, {
      method: 'DELETE',
      headers: { 'tus-resumable': '1.0.0' },
    }),
    get('an error code of 500 characters', 'NOT_FOUND', `/problems/${'x'.repeat(500)}`),
    get('an error code that every object has', 'NOT_FOUND', '/problems/constructor'),
    get('a path of 15,000 characters', 'NOT_FOUND', `/${'x'.repeat(15_000)}`),
    get('a page of the documentation above its folder', 'NOT_FOUND', '/docs/static/..%2f..%2f..%2fpackage.json'),
    get('a page of the documentation with NUL', 'NOT_FOUND', '/docs/static/%00'),
    get('a query of a prototype', 'QUERY_INVALID', '/jobs?__proto__[state]=queued&limit=none'),
    get('1000 labels', 'QUERY_INVALID', `/jobs?${'label=a=b&'.repeat(1000)}`),
    ...escaping.map((name) => post(`a data file ${name}`, 'MODEL_EXTERNAL_DATA_ESCAPES', '/models', named(name))),
    ...unusable.map((name, at) =>
      post(`a data file of an unusable name, ${at}`, 'MULTIPART_INVALID', '/models', named(name)),
    ),
    post(
      'a data file twice',
      'MULTIPART_PART_DUPLICATE',
      '/models',
      form([model, ...['w', 'w'].map((name) => ['data', file(Buffer.from('x'), name)] as const)]),
    ),
    post('a source that leads elsewhere', 'SOURCE_NOT_ALLOWED', '/models', form([['model', 's3://a.b/../../b']])),
    post('an upload that leads elsewhere', 'UPLOAD_NOT_FOUND', '/models', form([['model', 'upload:../../b']])),
  ];
}

/** JSON that a parser may choke on or take for more than data. */
function strangeJson(): BadRequest[] {
  const wanted = (text: string) => json(`{"modelId":"mdl_${NO_ID}",${text}}`);
  const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  const keys = Array.from({ length: 50_000 }, (_, at) => `"k${at}":1`).join();
  const texts: [what: string, text: string][] = [
    ['a recipe nested 20,000 deep', `"recipe":${deep(20_000)}`],
    ['labels nested 20,000 deep', `"labels":${deep(20_000)}`],
    ['50,000 unknown keys', keys],
    ['50,000 labels', `"labels":{${keys}}`],
    ['a number beyond floating point', '"deadlineSeconds":1e999'],
    ['a number of 100,000 digits', `"deadlineSeconds":${'9'.repeat(100_000)}`],
    ['a deadline that is no integer', '"deadlineSeconds":1.5'],
    ['a prototype', '"__proto__":{"recipe":{}}'],
    ['a constructor', '"constructor":{"prototype":{"modelId":"x"}}'],
    ['a recipe with a prototype', '"recipe":{"__proto__":{"method":"int8"}}'],
    ['a method that every object has', '"recipe":{"method":"toString"}'],
    ['datasets by a name that every object has', `"datasets":{"valueOf":"dst_${NO_ID}"}`],
  ];
  return [
    ...texts.map(([what, text]) => post(`JSON with ${what}`, 'BODY_INVALID', '/jobs', wanted(text))),
    post('a job part nested 20,000 deep', 'BODY_INVALID', '/jobs', form([['job', deep(20_000)], model])),
    post('JSON of a comment', 'BODY_NOT_JSON', '/jobs', json('{} // comment')),
    post('JSON with NaN', 'BODY_NOT_JSON', '/jobs', wanted('"deadlineSeconds":NaN')),
    post('JSON with a control character', 'BODY_NOT_JSON', '/jobs', wanted('"labels":{"a":"\u0001"}')),
    post('JSON in UTF-16', 'BODY_NOT_JSON', '/jobs', {
      headers: { 'content-type': 'application/json; charset=utf-16' },
      body: Buffer.from('{"modelId":"x"}', 'utf16le'),
    }),
  ];
}

/** Content types and encodings beside those that a route takes. */
function strangeTypes(): BadRequest[] {
  const typed = (type: string, body = '{}', method = 'POST') => ({ method, headers: { 'content-type': type }, body });
  const encoded = (encoding: string) => ({ headers: { ...JSON_TYPE, 'content-encoding': encoding }, body: '{}' });
  const job = `/jobs/job_${NO_ID}`;
  const others = ['text/json', 'text/plain', 'application/xml', 'application/jsonp', '*/*', ';', 'x'];
  // JSON, however it is written; the body is checked as such.
  const spellings = ['Application/JSON', 'application/json ; charset=utf-8', 'application/json\t; a=b'];
  const encodings = ['gzip', 'deflate', 'br', 'identity, gzip', 'x-none'];
  const cutForm = { ...form([model]), headers: { 'content-type': 'multipart/form-data; boundary=other' } };
  return [
    ...others.map((type) => post(`a job as ${type}`, 'CONTENT_TYPE_UNSUPPORTED', '/jobs', typed(type))),
    ...spellings.map((type) => post(`an empty job as ${type}`, 'BODY_INVALID', '/jobs', typed(type))),
    ...encodings.map((name) => post(`a job in ${name}`, 'CONTENT_TYPE_UNSUPPORTED', '/jobs', encoded(name))),
    post('a job as fields', 'CONTENT_TYPE_UNSUPPORTED', '/jobs', typed('application/x-www-form-urlencoded', 'a=b')),
    post('a model as JSON', 'CONTENT_TYPE_UNSUPPORTED', '/models', typed('application/json')),
    post('a dataset as bytes', 'CONTENT_TYPE_UNSUPPORTED', '/datasets', typed('application/octet-stream')),
    post('a mixed body', 'CONTENT_TYPE_UNSUPPORTED', '/models', typed('multipart/mixed; boundary=x')),
    post('a form with an empty boundary', 'MULTIPART_INVALID', '/models', typed('multipart/form-data; boundary=')),
    post('a form of another boundary', 'UPLOAD_INCOMPLETE', '/models', cutForm),
    get('a body for a DELETE', 'CONTENT_TYPE_UNSUPPORTED', job, typed('text/plain', 'x', 'DELETE')),
    get('a body for a DELETE that is no JSON', 'BODY_NOT_JSON', job, typed('application/json', '{', 'DELETE')),
    post('a body for a cancellation', 'CONTENT_TYPE_UNSUPPORTED', `${job}/cancel`, typed('text/plain', 'x')),
  ];
}

function cutInHalf(init: RequestInit): RequestInit {
  const body = init.body as Buffer;
  return { ...init, body: body.subarray(0, body.length / 2) };
}

function nestedFiles() {
  return ['w', 'w/1'].map((name) => ['data', file(Buffer.from('x'), name)] as const);
}

function manyParts(count: number) {
  return Array.from({ length: count }, (_, i) => ['data', file(Buffer.from('x'), `${i}.bin`)] as const);
}

/** Sends bytes and takes the answer apart. */
async function sendRaw(url: string, text: string): Promise<Response> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  await once(socket, 'connect');
  socket.write(text);
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  const [head = '', body] = answer.split('\r\n\r\n');
  const [statusLine = '', ...headers] = head.split('\r\n');
  return new Response(body ?? '', {
    status: Number(statusLine.split(' ')[1]),
    headers: headers.map((line) => line.split(': ', 2) as [string, string]),
  });
}
