import { isIPv4 } from 'node:net';
import { type ApiKey, SCOPES, type Scope, TritforgeError } from '@tritforge/contracts';
import { DEFAULT_PROJECT_ID, type ProjectStore } from '@tritforge/store';
import type { FastifyContextConfig, FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiConfig } from '../config.js';
import type { ServiceStore } from '../deps.js';
import { spanOf } from '../traces/trace-requests.js';
import { withTracedJobs } from '../traces/traced-jobs.js';
import { limitRate } from './rate-limit.js';

/** What a route asks for: one scope, or one of several. */
export type RouteScope = Scope | readonly Scope[] | 'any' | 'public';

/** Who asks, and what they reach. */
export interface Access {
  /** Null for requests without a key, where those are allowed. */
  readonly key: ApiKey | null;
  readonly projectId: string;
  readonly scopes: readonly Scope[];
  /** The resources of the project. */
  readonly store: ProjectStore;
}

declare module 'fastify' {
  interface FastifyRequest {
    access: Access | null;
  }
  interface FastifyContextConfig {
    /** What a key must be allowed for this route; any valid key will do for some, and public ones take requests of anybody. Every route names one. */
    scope?: RouteScope;
    /** Whether a key may also come as the password of HTTP Basic, for which browsers ask people. */
    isForBrowsers?: boolean;
  }
}

/**
 * What plugins of others do not say of the routes that they register, by the beginning of their paths. The board shows deliveries of all
 * projects, as metrics count jobs of all. It changes nothing, so it does not matter which page makes a browser send the key for it.
 */
const ROUTES_OF_PLUGINS: Readonly<Record<string, FastifyContextConfig>> = {
  '/docs': { scope: 'public' },
  '/admin/queues': { scope: 'metrics:read', isForBrowsers: true },
};

/** What a route that asks for a scope works with. */
export function accessOf({ access }: FastifyRequest): Access {
  if (access === null) throw new Error('a route without a scope has no access');
  return access;
}

type Anonymous = ApiConfig['anonymous'];

/** Headers that proxies add. */
const PASSED_ON = /^(forwarded|via|x-forwarded-.+|x-real-ip|(x-|x-cluster-|true-)client-ip|cf-connecting-ip)$/;

/**
 * Refuses requests without a valid key, or whose key may not do what the route does, before their body is read. Call it before routes
 * are added.
 */
export function authenticate(app: FastifyInstance, store: ServiceStore, anonymous: Anonymous): void {
  app.decorateRequest('access', null);
  app.addHook('onRoute', (route) => {
    if (route.config?.scope !== undefined) return;
    const isBelow = ([path]: readonly [string, unknown]) => route.url === path || route.url.startsWith(`${path}/`);
    const [, config] = Object.entries(ROUTES_OF_PLUGINS).find(isBelow) ?? [];
    if (config === undefined) throw new Error(`${route.method} ${route.url} names no scope`);
    route.config = { ...route.config, ...config };
  });
  app.addHook('onRequest', async (request, reply) => {
    const { scope = 'public' } = request.routeOptions.config;
    if (scope === 'public') return;
    try {
      request.access = await accessFor(request, store, anonymous);
    } catch (error) {
      if (error instanceof TritforgeError && error.status === 401) reply.header('www-authenticate', challenge(request));
      throw error;
    }
    const { scopes } = request.access;
    if (scope !== 'any' && !scopesOf(scope).some((one) => scopes.includes(one))) {
      throw withoutScope(scopesOf(scope), request.access);
    }
    if (request.access.key === null) return;
    request.log = request.log.child({ key: request.access.key.id });
    await limitRate(request, reply, store.rateLimits, request.access.key);
  });
}

/** The scopes of which a route asks for one; none where any key will do, or nobody is asked. */
export function scopesOf(scope: RouteScope): readonly Scope[] {
  if (scope === 'any' || scope === 'public') return [];
  return typeof scope === 'string' ? [scope] : scope;
}

async function accessFor(request: FastifyRequest, store: ServiceStore, anonymous: Anonymous): Promise<Access> {
  const { authorization } = request.headers;
  const storeOf = (projectId: string) => withTracedJobs(store.inProject(projectId), spanOf(request));
  if (authorization === undefined) {
    const why = whyKeyIsNeeded(request, anonymous);
    if (why !== null) throw withoutKey(why);
    return { key: null, projectId: DEFAULT_PROJECT_ID, scopes: SCOPES, store: storeOf(DEFAULT_PROJECT_ID) };
  }
  const secret = secretIn(authorization, request.routeOptions.config);
  const known = secret === undefined ? null : await store.keys.authenticate(secret);
  if (known === null) throw notAKey();
  const { key, projectId } = known;
  return { key, projectId, scopes: key.scopes, store: storeOf(projectId) };
}

/** The secret of a Bearer token or, on routes for browsers, the password of HTTP Basic, whatever the name before it. */
function secretIn(authorization: string, { isForBrowsers = false }: FastifyContextConfig): string | undefined {
  const [, scheme = '', credentials = ''] = /^(Bearer|Basic) +(\S+)$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'bearer') return credentials;
  if (scheme === '' || !isForBrowsers) return undefined;
  return /^[^:]*:(.*)$/s.exec(Buffer.from(credentials, 'base64').toString())?.[1];
}

/**
 * Why a request needs a key; null where it needs none. Loopback: the connection comes from this machine and was not passed on by a proxy,
 * and the client meant this machine when it wrote the address, which a page in a browser cannot make it do by a name that it lets point
 * here (DNS rebinding). Pages of others may send forms to this machine all the same, which their browsers say.
 */
function whyKeyIsNeeded({ headers, raw }: FastifyRequest, anonymous: Anonymous): string | null {
  if (anonymous === 'always') return null;
  if (anonymous === 'never' || !isLoopback(raw.socket.remoteAddress ?? '')) return '';
  const passedOn = Object.keys(headers).find((name) => PASSED_ON.test(name));
  if (passedOn !== undefined) return `, and somebody passed it on, as its header ${passedOn} says`;
  const { origin } = headers;
  if (origin !== undefined && origin !== `http://${headers.host}`) return ', and a page of another origin sent it';
  const host = (headers.host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  if (host === 'localhost' || isLoopback(host)) return null;
  return `, and its header host names another machine than localhost`;
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '');
  return plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'));
}

function challenge({ headers, routeOptions }: FastifyRequest): string {
  if (routeOptions.config.isForBrowsers) return 'Basic realm="tritforge", charset="UTF-8"';
  return headers.authorization === undefined
    ? 'Bearer realm="tritforge"'
    : 'Bearer realm="tritforge", error="invalid_token"';
}

function withoutKey(why: string): TritforgeError {
  return new TritforgeError('UNAUTHENTICATED', `The request has no API key${why}`, {
    field: 'authorization',
    remediation:
      'Send `Authorization: Bearer tf_…`. Keys are made by `tritforge admin create-key`; TRITFORGE_ANONYMOUS says who needs none.',
  });
}

function notAKey(): TritforgeError {
  return new TritforgeError('UNAUTHENTICATED', 'The Authorization header has no API key that is valid now', {
    field: 'authorization',
    remediation: 'Send `Authorization: Bearer ` and a key that has neither expired nor been revoked.',
  });
}

function withoutScope(wanted: readonly Scope[], { key, scopes }: Access): TritforgeError {
  const scope = wanted.join(' or ');
  return new TritforgeError(
    'SCOPE_MISSING',
    `The key ${key?.prefix}… may ${scopes.join(', ') || 'do nothing'}, and this takes ${scope}`,
    {
      field: 'authorization',
      remediation: `Use a key with the scope ${scope}.`,
    },
  );
}
