/** Who may do what. */
import Type, { type Static } from 'typebox';
import { idSchema } from './ids.js';
import { nullable } from './nullable.js';

/** Rights of a key, as `resource:verb`. A route asks for one of them. */
export const SCOPES = [
  'models:read',
  'models:write',
  'datasets:read',
  'datasets:write',
  'jobs:read',
  'jobs:write',
  'artifacts:read',
  'webhooks:read',
  'webhooks:write',
  'audit:read',
  'metrics:read',
] as const;
export type Scope = (typeof SCOPES)[number];

const READING: readonly Scope[] = ['models:read', 'datasets:read', 'jobs:read', 'artifacts:read'];
/** What brings files: any of them lets a key upload in pieces. */
export const WRITING: readonly Scope[] = ['models:write', 'datasets:write', 'jobs:write'];

/** Metrics are those of the whole service. */
const OF_A_PROJECT = SCOPES.filter((scope) => scope !== 'metrics:read');

/** Sets of scopes, by what people are called who have them. None but the monitor sees more than the project of its key. */
export const ROLES = {
  viewer: READING,
  developer: [...READING, ...WRITING],
  admin: OF_A_PROJECT,
  monitor: ['metrics:read'],
} as const satisfies Record<string, readonly Scope[]>;
export type Role = keyof typeof ROLES;

/** Letters, digits and dashes, as in a host name. */
export const PROJECT_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const Timestamp = Type.String({ format: 'date-time' });

/** What keys see: resources of one project are invisible to keys of another. */
export const Project = Type.Object({
  id: idSchema('project'),
  name: Type.String({ pattern: PROJECT_NAME.source }),
  createdAt: Timestamp,
  storageBytes: nullable(
    Type.Integer({ description: 'Most bytes of its models, datasets and artifacts together; null for no limit.' }),
  ),
});
export type Project = Static<typeof Project>;

/** What a key may use; null for no limit. */
export const KeyLimits = Type.Object({
  requestsPerMinute: nullable(Type.Integer()),
  concurrentJobs: nullable(Type.Integer({ description: 'Further jobs wait until one of them has ended.' })),
  jobMinutesPerDay: nullable(Type.Integer({ description: 'Of workers, in the last 24 hours.' })),
});
export type KeyLimits = Static<typeof KeyLimits>;

/** A key as it may be shown: never with its secret. */
export const ApiKey = Type.Object({
  id: idSchema('key'),
  name: Type.String(),
  prefix: Type.String({ description: 'The beginning of the secret.' }),
  scopes: Type.Array(Type.Enum([...SCOPES])),
  priority: Type.Integer({ minimum: 1, maximum: 1000, description: 'Its share of workers beside that of other keys.' }),
  limits: KeyLimits,
  createdAt: Timestamp,
  expiresAt: nullable(Timestamp),
  revokedAt: nullable(Timestamp),
  lastUsedAt: nullable(Type.String({ format: 'date-time', description: 'To the minute.' })),
});
export type ApiKey = Static<typeof ApiKey>;

/** Who changed what, or was refused, and what went because its time was over. Requests without a valid key are not here. */
export const AuditEntry = Type.Object(
  {
    id: idSchema('audit'),
    at: Timestamp,
    projectId: nullable(Type.String({ description: 'Null for commands that belong to no project.' })),
    keyId: nullable(Type.String()),
    action: Type.String({
      description:
        'The operation of the OpenAPI document; `admin.` and a command; or `expiry.` and the operation that the service did by itself.',
    }),
    target: Type.String({ description: 'Path of the request or resource, or what the command worked on.' }),
    status: nullable(Type.Integer({ description: 'Of the answer.' })),
    requestId: nullable(Type.String()),
    address: nullable(Type.String({ description: 'Where the request came from.' })),
  },
  { $id: 'AuditEntry' },
);
export type AuditEntry = Static<typeof AuditEntry>;
