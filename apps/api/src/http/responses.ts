import { ERROR_CODES, type ErrorCode, Problem } from '@tritforge/contracts';
import Type from 'typebox';
import { PROBLEM_MEDIA_TYPE } from '../errors.js';

/** Codes that any route can answer with. */
const EVERYWHERE: readonly ErrorCode[] = [
  'REQUEST_MALFORMED',
  'HEADERS_TOO_LARGE',
  'INTERNAL',
  'SERVICE_OVERLOADED',
  'SERVICE_UNAVAILABLE',
];

/** The responses of a route that are problem documents, by status, each naming its codes. */
export function problems(...codes: ErrorCode[]): Record<number, object> {
  return problemsOf(...codes, ...EVERYWHERE);
}

/** The same for these codes alone. */
function problemsOf(...codes: ErrorCode[]): Record<number, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = ERROR_CODES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries([...byStatus].map(([status, group]) => [status, problemResponse(status, group)]));
}

/** Responses with further codes. @param responses of a route, by status */
export function withProblems(
  responses: Readonly<Record<number, object>>,
  ...codes: ErrorCode[]
): Record<number, object> {
  const statuses = new Set(codes.map((code) => ERROR_CODES[code].status));
  const known = [...statuses].flatMap((status) => {
    const { content } = (responses[status] ?? {}) as { content?: Record<string, { examples?: object }> };
    return Object.keys(content?.[PROBLEM_MEDIA_TYPE]?.examples ?? {}) as ErrorCode[];
  });
  return { ...responses, ...problemsOf(...new Set([...known, ...codes])) };
}

function problemResponse(status: number, codes: readonly ErrorCode[]): object {
  const examples = codes.map((code) => [code, { summary: ERROR_CODES[code].title, value: exampleProblem(code) }]);
  return {
    description: `Problem with one of the codes ${codes.join(', ')}.`,
    ...(status === 503 && { headers: { 'Retry-After': Type.Integer({ description: 'Seconds to wait.' }) } }),
    content: { [PROBLEM_MEDIA_TYPE]: { schema: Problem, examples: Object.fromEntries(examples) } },
  };
}

function exampleProblem(code: ErrorCode): Problem {
  const { status, title, ...rest } = ERROR_CODES[code];
  return {
    type: `/problems/${code}`,
    title,
    status,
    code,
    detail: 'What is wrong, and where.',
    instance: '/the/path/that/was/asked/for',
    retryable: 'retryable' in rest,
    remediation: 'What to do about it.',
  };
}

/** A JSON response with its description and, where it has some, headers. */
export function jsonResponse(
  description: string,
  schema: Type.TSchema,
  headers?: Record<string, Type.TSchema>,
): object {
  return { description, ...(headers && { headers }), content: { 'application/json': { schema } } };
}

/** A page, with its headers. */
export function htmlResponse(description: string, headers: Record<string, Type.TSchema>): object {
  return { description, headers, content: { 'text/html': { schema: Type.String() } } };
}

/** A response without a body. */
export function emptyResponse(description: string): object {
  return { type: 'null', description };
}
