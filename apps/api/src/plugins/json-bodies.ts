import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parseJson } from '../uploads/json-part.js';

/** Parses JSON bodies, with errors that say where the text is wrong. */
export function parseJsonBodies(app: FastifyInstance, maxBytes: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: maxBytes },
    async (request: FastifyRequest, text: string) => {
      // Clients announce JSON out of habit, also where a route takes no body.
      const isIdle = text === '' && request.routeOptions.schema?.body === undefined;
      return isIdle ? undefined : parseJson(text, '');
    },
  );
}
