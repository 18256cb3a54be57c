import type { FastifyInstance } from 'fastify';
import { parseJson } from '../uploads/json-part.js';

/** Parses JSON bodies, with errors that say where the text is wrong. */
export function parseJsonBodies(app: FastifyInstance, maxBytes: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: maxBytes },
    async (_request: unknown, text: string) => parseJson(text, ''),
  );
}
