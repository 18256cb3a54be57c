/**
 * API keys. A secret is `tf_` and 256 random bits; the database has its SHA-256 alone, so that whoever reads the database cannot use keys.
 * So many random bits cannot be guessed, which is why no salt and no slow hash are needed.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type ApiKey, type KeyLimits, newId, type Project, type Scope, TritforgeError } from '@tritforge/contracts';
import { type Connection, Prisma, storableText } from '../database.js';
import type { ApiKey as Row } from '../generated/client.js';
import { toProject } from './projects.js';

export interface NewKey {
  readonly projectId: string;
  /** For people. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Its share of workers beside that of other keys; 10 when left out. */
  readonly priority?: number | undefined;
  readonly limits?: { readonly [Limit in keyof KeyLimits]?: number | null | undefined } | undefined;
  readonly expiresAt?: Date | null | undefined;
}

/** A key and whose it is. */
export interface KnownKey {
  readonly key: ApiKey;
  readonly project: Project;
}

/** A key that somebody showed, and what it belongs to. */
export interface ShownKey {
  readonly key: ApiKey;
  readonly projectId: string;
}

export interface KeyRepository {
  /** @returns the key, and its secret, which is kept nowhere */
  create(key: NewKey): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  /** The key with this secret, and notes that it was used; null for what is no secret of a key that is valid now. */
  authenticate(secret: string): Promise<ShownKey | null>;
  /** Whether a key that was known before still is. */
  isValid(id: string): Promise<boolean>;
  /** Newest first, revoked ones too. @param projectId of all projects when left out */
  list(projectId?: string): Promise<KnownKey[]>;
  /** Ends a key now; one that has ended stays as it is. @throws TritforgeError KEY_NOT_FOUND */
  revoke(id: string): Promise<KnownKey>;
}

/** A key as its row has it, without the hash of its secret. */
type KeyRow = Omit<Row, 'secretHash'>;

const SECRET_BYTES = 32;
const SECRET = /^tf_[A-Za-z0-9_-]{43}$/;
const PREFIX_LENGTH = 9;
const MINUTE_MS = 60_000;

export function createKeyRepository(db: Connection): KeyRepository {
  return {
    create: async ({ projectId, name, scopes, priority, limits = {}, expiresAt = null }) => {
      const secret = `tf_${randomBytes(SECRET_BYTES).toString('base64url')}`;
      const row = await db.apiKey.create({
        data: {
          id: newId('key'),
          projectId,
          name: storableText(name),
          prefix: secret.slice(0, PREFIX_LENGTH),
          secretHash: hashOf(secret),
          scopes: [...scopes],
          expiresAt,
          ...(priority !== undefined && { priority }),
          requestsPerMinute: limits.requestsPerMinute ?? null,
          concurrentJobs: limits.concurrentJobs ?? null,
          jobMinutesPerDay: limits.jobMinutesPerDay ?? null,
        },
      });
      return { key: toKey(row), secret };
    },
    authenticate: async (secret) => {
      if (!SECRET.test(secret)) return null;
      const row = await findBySecret(db, secret);
      if (row === undefined || hasEnded(row)) return null;
      const now = Date.now();
      const minute = new Date(now - (now % MINUTE_MS));
      if (row.lastUsedAt === null || row.lastUsedAt < minute) {
        await db.apiKey.updateMany({ where: { id: row.id }, data: { lastUsedAt: minute } });
      }
      return { key: toKey(row), projectId: row.projectId };
    },
    isValid: async (id) => {
      const row = await db.apiKey.findUnique({ where: { id } });
      return row !== null && !hasEnded(row);
    },
    list: async (projectId) => {
      const where = projectId === undefined ? {} : { projectId };
      const rows = await db.apiKey.findMany({ where, orderBy: { id: 'desc' }, include: { project: true } });
      return rows.map((row) => ({ key: toKey(row), project: toProject(row.project) }));
    },
    revoke: async (id) => {
      await db.apiKey.updateMany({ where: { id, revokedAt: null }, data: { revokedAt: new Date() } });
      const row = await db.apiKey.findUnique({ where: { id }, include: { project: true } });
      if (row) return { key: toKey(row), project: toProject(row.project) };
      throw new TritforgeError('KEY_NOT_FOUND', `There is no API key ${id}.`, {
        remediation: '`tritforge admin keys` lists those that there are.',
      });
    },
  };
}

/** Every request asks for this, as a key that is revoked must be none from then on. */
async function findBySecret({ statements }: Connection, secret: string): Promise<KeyRow | undefined> {
  const [row] = await statements.run<KeyRow>(
    'key of a secret',
    Prisma.sql`
      SELECT id, project_id AS "projectId", name, prefix, scopes, priority, requests_per_minute AS "requestsPerMinute",
        concurrent_jobs AS "concurrentJobs", job_minutes_per_day AS "jobMinutesPerDay", created_at AS "createdAt",
        expires_at AS "expiresAt", revoked_at AS "revokedAt", last_used_at AS "lastUsedAt"
      FROM api_keys WHERE secret_hash = ${hashOf(secret)}`,
  );
  return row;
}

function hasEnded({ revokedAt, expiresAt }: KeyRow): boolean {
  return revokedAt !== null || (expiresAt !== null && expiresAt.getTime() <= Date.now());
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

function toKey(row: KeyRow): ApiKey {
  const { id, name, prefix, scopes, priority, requestsPerMinute, concurrentJobs, jobMinutesPerDay } = row;
  const { createdAt, expiresAt, revokedAt, lastUsedAt } = row;
  return {
    id,
    name,
    prefix,
    scopes: scopes as Scope[],
    priority,
    limits: { requestsPerMinute, concurrentJobs, jobMinutesPerDay },
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    revokedAt: revokedAt?.toISOString() ?? null,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
  };
}
