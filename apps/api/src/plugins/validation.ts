import type { FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import { compileCheck } from '../http/schema-check.js';

/**
 * Validates JSON bodies and query strings with the schemas that OpenAPI shows. Ids in paths are not checked here: what
 * cannot be an id is answered like an id that is not there. Streamed bodies are checked by their handlers.
 */
export function validateWithTypebox(app: FastifyInstance): void {
  app.setValidatorCompiler<TSchema>(({ schema, httpPart, contentType }) => {
    const isStreamed = contentType !== undefined && contentType !== 'application/json';
    if (httpPart === 'params' || httpPart === 'headers' || isStreamed) return (value) => ({ value });
    const check =
      httpPart === 'querystring'
        ? compileCheck(schema, 'QUERY_INVALID', '', { convert: true })
        : compileCheck(schema, 'BODY_INVALID');
    const lists = httpPart === 'querystring' ? listParameters(schema) : [];
    return (input) => {
      try {
        return { value: check(wrapSingles(input, lists)) };
      } catch (error) {
        return { error: error as Error };
      }
    };
  });
  // Responses are typed against their schemas, and tests check them; nothing needs to be filtered out.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
}

/** Names of the query parameters that may be repeated. */
function listParameters(schema: TSchema): string[] {
  const { properties = {} } = schema as { properties?: Record<string, { type?: string }> };
  return Object.keys(properties).filter((name) => properties[name]?.type === 'array');
}

/** A parameter that may be repeated and came once is a list of one. */
function wrapSingles(input: unknown, lists: readonly string[]): unknown {
  const query = { ...(input as Record<string, unknown>) };
  for (const name of lists) if (typeof query[name] === 'string') query[name] = [query[name]];
  return lists.length === 0 ? input : query;
}
