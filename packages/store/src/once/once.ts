/**
 * Requests that are answered once, however often they are sent. A request claims its key, works, and keeps its answer; whoever sends it
 * again gets the same answer.
 *
 *   claim    one INSERT: of requests that arrive together one gets the claim
 *   keep     in the transaction that does what was asked, so that neither is there without the other
 *   lease    runs out where the process that held the claim is gone; the next request takes it over, and what the first one still
 *            tries to keep is refused
 */
import { randomUUID } from 'node:crypto';
import { TritforgeError } from '@tritforge/contracts';
import { type Connection, type Database, Prisma } from '../database.js';
import type { PrismaClient } from '../generated/client.js';

/** What a request was answered with. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** The right to work on a request. */
export interface OnceClaim {
  readonly projectId: string;
  readonly key: string;
  readonly token: string;
  /** When the key was first claimed for this request. It stays when the claim is taken over from a process that is gone. */
  readonly since: Date;
}

/** The claim of a request that makes something, and the answer to it once that is made. */
export interface Once<Made> {
  readonly claim: OnceClaim;
  readonly answerOf: (made: Made) => Answer;
}

/** What is known of a request: it is claimed now, somebody works on it, it was answered, or its key is that of another one. */
export type Known =
  | { readonly state: 'claimed'; readonly claim: OnceClaim }
  | { readonly state: 'running' | 'other' }
  | { readonly state: 'answered'; readonly answer: Answer };

export interface OnceRepository {
  /** @param fingerprint equal for equal requests, and for no others */
  claim(key: string, fingerprint: string): Promise<Known>;
  /** Renews the lease. False where the claim has gone to another request. */
  renew(claim: OnceClaim): Promise<boolean>;
  /** Keeps the answer. @throws TritforgeError IDEMPOTENCY_IN_PROGRESS where the claim has gone to another request */
  keep(claim: OnceClaim, answer: Answer): Promise<void>;
  /** Lets the next request try. */
  release(claim: OnceClaim): Promise<void>;
}

/** How long a claim lives that is not renewed, in milliseconds. */
export const ONCE_LEASE_MS = 15_000;
const KEPT = Prisma.sql`interval '24 hours'`;
const LEASE = Prisma.sql`clock_timestamp() + make_interval(secs => ${ONCE_LEASE_MS / 1000}::double precision)`;

export function createOnceRepository(db: Connection, projectId: string): OnceRepository {
  const isOver = Prisma.sql`known.created_at < clock_timestamp() - ${KEPT}`;
  const held = ({ key, token }: OnceClaim) => ({ projectId, key, token });
  return {
    claim: async (key, fingerprint) => {
      const token = randomUUID();
      // A row whose time is over, or whose worker is gone, is as good as none.
      const [claimed] = await db.statements.run<{ created_at: Date }>(
        'claim of a key',
        Prisma.sql`
        INSERT INTO once_keys AS known (project_id, key, fingerprint, token, lease_until)
        VALUES (${projectId}, ${key}, ${fingerprint}, ${token}, ${LEASE})
        ON CONFLICT (project_id, key) DO UPDATE SET
          fingerprint = EXCLUDED.fingerprint, token = EXCLUDED.token, lease_until = EXCLUDED.lease_until,
          status = NULL, headers = NULL, body = NULL,
          created_at = CASE WHEN ${isOver} THEN clock_timestamp() ELSE known.created_at END
        WHERE ${isOver}
          OR (known.status IS NULL AND known.lease_until < clock_timestamp() AND known.fingerprint = EXCLUDED.fingerprint)
        RETURNING known.created_at`,
      );
      if (claimed !== undefined)
        return { state: 'claimed', claim: { projectId, key, token, since: claimed.created_at } };
      const known = await db.onceKey.findUnique({ where: { projectId_key: { projectId, key } } });
      if (known === null) return { state: 'running' };
      if (known.fingerprint !== fingerprint) return { state: 'other' };
      if (known.status === null) return { state: 'running' };
      const { status, headers, body } = known;
      return {
        state: 'answered',
        answer: { status, headers: headers as Record<string, string>, body: JSON.parse(body!) },
      };
    },
    renew: async (claim) => {
      const renewed = await db.$executeRaw`
        UPDATE once_keys SET lease_until = ${LEASE}
        WHERE project_id = ${projectId} AND key = ${claim.key} AND token = ${claim.token}`;
      return renewed === 1;
    },
    keep: (claim, answer) => keepAnswer(db, claim, answer),
    release: async (claim) => {
      await db.onceKey.deleteMany({ where: { ...held(claim), status: null } });
    },
  };
}

/** Within the transaction that did what was asked. @throws TritforgeError IDEMPOTENCY_IN_PROGRESS */
export async function keepAnswer(
  db: Database,
  { projectId, key, token }: OnceClaim,
  { status, headers, body }: Answer,
): Promise<void> {
  const { count } = await db.onceKey.updateMany({
    where: { projectId, key, token, status: null },
    data: { status, headers: { ...headers }, body: JSON.stringify(body), leaseUntil: null },
  });
  if (count !== 1) throw takenOver(key);
}

/** Of a request whose claim has gone to another one. */
export function takenOver(key: string): TritforgeError {
  return new TritforgeError('IDEMPOTENCY_IN_PROGRESS', `Another request with the idempotency key "${key}" took over`, {
    remediation: 'Send the request again.',
  });
}

/** Forgets what was answered a day ago. Returns how many requests those are. */
export async function sweepOnceKeys(db: PrismaClient): Promise<number> {
  return db.$executeRaw`DELETE FROM once_keys WHERE created_at < clock_timestamp() - ${KEPT}`;
}
