import assert from 'node:assert/strict';
import { Problem } from '@tritforge/contracts';
import { Value } from 'typebox/value';

/** A file of a form. */
export interface FormFile {
  readonly content: Buffer;
  readonly fileName: string;
}

/** A form in the order of its fields; several parts of one name are several entries. */
export type FormEntries = readonly (readonly [name: string, value: FormFile | string])[];

/** Builds the body by hand: `FormData` would change file names that tests want as they are. */
export function form(entries: FormEntries, boundary = 'tritforge-test-boundary'): RequestInit {
  const parts = entries.flatMap(([name, value]) => {
    const fileName = typeof value === 'string' ? '' : `; filename="${value.fileName}"`;
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${fileName}\r\n\r\n`;
    return [Buffer.from(head), typeof value === 'string' ? Buffer.from(value) : value.content, Buffer.from('\r\n')];
  });
  return {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]),
  };
}

export const file = (content: Buffer, fileName: string): FormFile => ({ content, fileName });

/** A JSON request. */
export function json(body: unknown, method = 'POST'): RequestInit {
  return {
    method,
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}

/** The JSON of an answer that must have this status. */
export async function expectJson<T>(response: Response, status: number): Promise<T> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  return JSON.parse(text) as T;
}

/** The problem document of an answer that must be one. */
export async function expectProblem(response: Response, code: string): Promise<Problem> {
  const text = await response.text();
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/, text);
  const problem = JSON.parse(text) as Problem;
  assert.ok(Value.Check(Problem, problem), text);
  assert.equal(problem.code, code, text);
  assert.equal(problem.status, response.status, text);
  assert.ok(problem.detail.length > 10, `the detail says too little: ${text}`);
  assert.ok((problem.remediation ?? '').length > 10, `the remediation says too little: ${text}`);
  return problem;
}
