import type { FastifyInstance } from 'fastify';

/**
 * Lets the routes of this scope take bodies of the given types as streams, and only those types and JSON if it is
 * among them. The handler reads the stream itself.
 */
export function acceptUploads(app: FastifyInstance, streamed: readonly string[], options: { json: boolean }): void {
  if (!options.json) app.removeAllContentTypeParsers();
  for (const type of streamed) app.addContentTypeParser(type, (_request, _payload, done) => done(null));
}
