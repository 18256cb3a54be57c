import { TritforgeError } from '@tritforge/contracts';
import type { FastifyInstance, HTTPMethods } from 'fastify';

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Answers 405 with `Allow` where a path exists but not with this method. Call `collect` before routes are added and
 * `install` after.
 */
export class MethodGuard {
  readonly #methodsByUrl = new Map<string, Set<string>>();

  collect(app: FastifyInstance): void {
    app.addHook('onRoute', ({ url, method }) => {
      const methods = this.#methodsByUrl.get(url) ?? new Set();
      for (const name of [method].flat()) methods.add(name);
      this.#methodsByUrl.set(url, methods);
    });
  }

  install(app: FastifyInstance): void {
    for (const [url, methods] of [...this.#methodsByUrl]) {
      if (url.includes('*')) continue;
      const allow = METHODS.filter((method) => methods.has(method)).join(', ');
      // A plugin may have added its route with a slash at the end too.
      const others = METHODS.filter((method) => !methods.has(method) && !app.hasRoute({ url, method }));
      if (others.length === 0) continue;
      app.route({
        method: others,
        url,
        schema: { hide: true },
        config: { scope: 'public' },
        // Before the body is read: its content type does not matter here.
        onRequest: async (request, reply) => {
          reply.header('allow', allow);
          throw new TritforgeError(
            'METHOD_NOT_ALLOWED',
            `${request.method} is not allowed on ${request.url.split('?', 1)[0]}`,
            {
              remediation: `Use one of: ${allow}.`,
            },
          );
        },
        handler: () => undefined,
      });
    }
  }
}
